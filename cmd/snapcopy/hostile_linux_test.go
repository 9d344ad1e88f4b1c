package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// hostileKinds are what may have come into the place of a file or a folder of .snapcopy. was is the content of the file.
var hostileKinds = []struct {
	name string
	make func(c *hostileCase, path string, was []byte) error
}{
	{"link to a folder", func(c *hostileCase, path string, _ []byte) error { return os.Symlink(c.out, path) }},
	{"link to a file", func(c *hostileCase, path string, _ []byte) error { return os.Symlink(c.out+"/precious", path) }},
	{"link to nothing", func(c *hostileCase, path string, _ []byte) error { return os.Symlink(c.out+"/made", path) }},
	{"pipe", func(_ *hostileCase, path string, _ []byte) error { return unix.Mkfifo(path, 0o600) }},
	{"device", func(_ *hostileCase, path string, _ []byte) error {
		if !testtree.Root() {
			return unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
		}
		return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // zeros without end
	}},
	{"other name of a published file", func(c *hostileCase, path string, _ []byte) error {
		return os.Link(filepath.Join(c.arch, "latest", "d", "f"), path)
	}},
	{"folder", func(c *hostileCase, path string, _ []byte) error {
		return errors.Join(os.Mkdir(path, 0o700), os.WriteFile(path+"/7", []byte("in"), 0o600), os.Symlink(c.out, path+"/d"))
	}},
	{"empty file", func(_ *hostileCase, path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) }},
	{"truncated file", func(_ *hostileCase, path string, was []byte) error {
		return os.WriteFile(path, was[:len(was)/2], 0o600)
	}},
	{"flipped file", func(_ *hostileCase, path string, was []byte) error {
		b := slices.Clone(was)
		for i := 7; i < len(b); i += 101 {
			b[i] ^= 4
		}
		return os.WriteFile(path, b, 0o600)
	}},
	{"huge file", func(_ *hostileCase, path string, was []byte) error {
		return errors.Join(os.WriteFile(path, was, 0o600), os.Truncate(path, 1<<30))
	}},
}

// Names in .snapcopy; KEY stands for that of a source, RUN for the time of a run.
var (
	hostileFolders = []string{"repair", "extra", "work/unfinished-KEY"}
	hostileFiles   = []string{
		"lock", "repair.json", "repair/tree", "verified", "damaged.json", "acknowledged.json", "forget.json", "runs/RUN.unpublished.json",
		"work/report.json", "work/unfinished-KEY/journal", "work/unfinished-KEY/journal.new", "work/unfinished-KEY/kept",
		"work/unfinished-KEY/tree", "work/unfinished-KEY/publishing",
	}
)

// Guards: whatever somebody has put into the places of the files and folders of .snapcopy, no command waits, follows it out
// of the archive, takes much memory, or changes a snapshot; the next run is well, and what it cannot mend is named with
// what mends it. In the end each place has had each kind.
func TestHostileState(t *testing.T) {
	for i, k := range hostileKinds {
		t.Run("files/"+k.name, func(t *testing.T) {
			c := newHostile(t)
			for j, place := range hostileFiles {
				c.plant(place, hostileKinds[(i+j)%len(hostileKinds)].make)
			}
			c.survives()
		})
	}
	for i, k := range hostileKinds[:6] { // all but folders are the same in the place of a folder
		t.Run("folders/"+k.name, func(t *testing.T) {
			c := newHostile(t)
			for j, place := range hostileFolders {
				c.plant(place, hostileKinds[(i+j)%6].make)
			}
			c.survives()
		})
	}
}

// A hostileCase is an archive with an unfinished run, and a folder that nothing may reach.
type hostileCase struct {
	t              *testing.T
	src, arch, out string
	nights         int
	taken          map[string]testtree.Tree
	outside        testtree.Tree
	key, run       string
	id             string
	anchor         uint64
}

func newHostile(t *testing.T) *hostileCase {
	dir := t.TempDir()
	c := &hostileCase{t: t, src: dir + "/src", arch: dir + "/arch", out: dir + "/outside", taken: make(map[string]testtree.Tree)}
	must(t, errors.Join(os.Mkdir(c.src, 0o755), os.Mkdir(c.out, 0o700)))
	testtree.Build(t, c.src, "dir d 0755\nfile d/f 0644 random=5000:1\nfile d/g 0644 random=6000:2")
	testtree.Build(t, c.out, "file precious 0600 precious\ndir d 0700\nfile d/f 0600 f\nfile 7 0600 seven")
	for range 2 {
		c.must("snapshot", "-q", c.src, c.arch)
	}
	for _, s := range c.snapshots() {
		c.taken[s] = testtree.Take(t, filepath.Join(c.arch, s))
	}
	c.outside = testtree.Take(t, c.out)
	c.must("verify", "-q", c.arch)
	c.typed("snapshot", c.src+"/none", c.arch)
	c.interrupt()
	c.notes()
	return c
}

// interrupt leaves an unfinished run.
func (c *hostileCase) interrupt() {
	testtree.Build(c.t, c.src, "file d/new 0644 random=7000:3")
	_, err := snapshot.Run(c.t.Context(), c.src, c.arch, snapshot.Options{Fault: func(step string) error {
		if step == "catalog" {
			return fault.ErrCrash
		}
		return nil
	}})
	if !errors.Is(err, fault.ErrCrash) {
		c.t.Fatal(err)
	}
	only := func(prefix, ext string) string {
		list, err := filepath.Glob(c.arch + "/.snapcopy/" + prefix + "*" + ext)
		if err != nil || len(list) != 1 {
			c.t.Fatal(list, err)
		}
		return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(list[0]), filepath.Base(prefix)), ext)
	}
	c.run, c.key = only("runs/2026", ".unpublished.json"), only("work/unfinished-", "")
	c.run = "2026" + c.run
}

// notes writes the notes that interrupted commands leave.
func (c *hostileCase) notes() {
	a, err := archive.Open(c.arch)
	must(c.t, err)
	c.id, c.anchor = a.Info.ID, a.Anchor
	must(c.t, a.Close())
	first := c.snapshots()[0]
	type object = map[string]any
	c.write("repair.json", object{"archive_id": c.id, "anchor": c.anchor,
		"exchanges": []object{{"kind": "metadata", "snapshot": first, "path_base64": ""}}})
	c.write("damaged.json", object{"damaged": []object{{"kind": "metadata", "size": 1, "found": "x",
		"names": []object{{"snapshot": first, "path": "d/f"}}}}})
	c.write("forget.json", object{"archive_id": c.id, "path_base64": []byte("none"), "snapshots": []string{first}})
	c.write("acknowledged.json", object{"snapshot": first, "time": "2026-11-20T00:00:00Z"})
	c.write("work/report.json", object{"snapshot": first})
	must(c.t, errors.Join(os.MkdirAll(c.path("repair/tree"), 0o700), os.WriteFile(c.path("repair/tree/1"), []byte("new"), 0o600)))
}

func (c *hostileCase) path(place string) string {
	place = strings.NewReplacer("KEY", c.key, "RUN", c.run).Replace(place)
	return filepath.Join(c.arch, archive.MetaDir, place)
}

func (c *hostileCase) write(place string, v any) {
	c.t.Helper()
	text, err := json.Marshal(v)
	must(c.t, errors.Join(err, os.WriteFile(c.path(place), text, 0o600)))
}

func (c *hostileCase) plant(place string, make func(c *hostileCase, path string, was []byte) error) {
	c.t.Helper()
	path := c.path(place)
	was, _ := os.ReadFile(path) // mostly there is one
	must(c.t, errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o700), make(c, path, was)))
}

func (c *hostileCase) snapshots() (names []string) {
	list, err := os.ReadDir(c.arch)
	must(c.t, err)
	for _, e := range list {
		if archive.IsName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// typed carries out a command, a minute later than the one before, and looks what it has done.
func (c *hostileCase) typed(args ...string) (status int, told string) {
	t := c.t
	t.Helper()
	c.nights++
	t.Setenv("SNAPCOPY_NOW", fmt.Sprintf("2026-11-20T00:%02d:00Z", c.nights))
	a, out, errOut := testApp(t)
	root := newRoot(a)
	root.SetArgs(args)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan int, 1)
	go func() { done <- finish(a, root.ExecuteContext(t.Context())) }()
	select {
	case status = <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%q waits", args)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 300<<20 {
		t.Errorf("%q takes %d MiB of memory", args, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	told = out.String() + errOut.String()
	if strings.Contains(told, "\x1b") {
		t.Errorf("%q is not safe to print: %q", args, told)
	}
	c.intact(args)
	return status, told
}

func (c *hostileCase) must(args ...string) {
	c.t.Helper()
	if status, told := c.typed(args...); status != 0 {
		c.t.Errorf("%q ends with %d: %s", args, status, told)
	}
}

// intact looks whether what was published, and the folder outside, are as they were.
func (c *hostileCase) intact(after []string) {
	c.t.Helper()
	for name, was := range c.taken {
		is := testtree.Take(c.t, filepath.Join(c.arch, name))
		testtree.Equal(c.t, fmt.Sprintf("snapshot %s after %q", name, after), was, is, 0)
		for path, item := range was {
			if is[path].Ino != item.Ino {
				c.t.Errorf("after %q snapshot %s has another inode of %q", after, name, path)
			}
		}
	}
	if c.outside != nil {
		testtree.Equal(c.t, fmt.Sprintf("outside after %q", after), c.outside, testtree.Take(c.t, c.out), 0)
	}
}

// survives goes through what people do then.
func (c *hostileCase) survives() {
	t := c.t
	for _, args := range [][]string{
		{"status", c.arch}, {"list", c.arch}, {"stats", c.arch}, {"verify", c.arch}, {"repair", c.arch}, {"prune", c.arch, "--keep-last", "9"},
	} {
		status, told := c.typed(args...)
		if !slices.Contains([]int{statusDone, statusIncomplete, statusDamage}, status) {
			t.Errorf("%q ends with %d: %s", args, status, told)
		}
		settles := slices.ContainsFunc([]string{"`snapcopy ", "snapcopy forget-path", "Hint:", "From before:"}, func(s string) bool { return strings.Contains(told, s) })
		if status != statusDone && (!settles || !strings.Contains(told, c.arch)) {
			t.Errorf("%q ends with %d and does not say what is wrong and what to do: %s", args, status, told)
		}
	}
	c.must("snapshot", c.src, c.arch)
	if status, told := c.typed("snapshot", "-q", c.src, c.arch); status != 0 || strings.Contains(told, "unfinished") {
		t.Errorf("the second run ends with %d: %s", status, told)
	}
	c.must("acknowledge", c.arch)
	for _, place := range []string{"forget.json", "runs/RUN.unpublished.json"} { // as the messages tell to
		must(t, os.RemoveAll(c.path(place)))
	}
	if status, told := c.typed("verify", c.arch); status != 0 || strings.Contains(told, "could not be remembered") {
		t.Errorf("verify ends with %d: %s", status, told)
	}
	c.must("status", c.arch)
}

// Guards: notes that name what no command of ours would name, or are those of another archive, do nothing.
func TestForeignNotes(t *testing.T) {
	c := newHostile(t)
	c.must("repair", c.arch)
	c.must("snapshot", "-q", c.src, c.arch)
	first := c.snapshots()[0]
	catalog, err := os.ReadFile(c.path("catalogs/" + first + ".cat"))
	must(t, err)
	type object = map[string]any
	forget := func(id, path string, snapshot string) object {
		return object{"archive_id": id, "path_base64": []byte(path), "snapshots": []string{snapshot}}
	}
	repair := func(id string, anchor uint64, x object) object {
		return object{"archive_id": id, "anchor": anchor, "exchanges": []object{x}}
	}
	takeOut := func(snapshot, path string) object {
		return object{"kind": "take out", "snapshot": snapshot, "path_base64": []byte(path)}
	}
	put := func(file string, stored uint64) object {
		return object{"kind": "put", "snapshot": first, "path_base64": []byte("d/f"), "file": file, "stored": stored, "record": true}
	}
	for _, n := range []struct {
		place string
		note  object
	}{
		{"forget.json", forget(c.id, "outside", "..")},
		{"forget.json", forget(c.id, "precious", "../outside")},
		{"forget.json", forget(c.id, "../../outside/precious", first)},
		{"forget.json", forget(c.id, "d/../../../outside/precious", first)},
		{"forget.json", forget(c.id, c.out+"/precious", first)},
		{"forget.json", forget(c.id, "d/f\x00", first)},
		{"forget.json", forget("another", "d/f", first)},
		{"forget.json", forget("", "d/f", first)},
		{"repair.json", repair(c.id, c.anchor, takeOut("..", "outside"))},
		{"repair.json", repair(c.id, c.anchor, takeOut(first, "../../outside/precious"))},
		{"repair.json", repair(c.id, c.anchor, takeOut(first, c.out+"/precious"))},
		{"repair.json", repair("another", c.anchor, takeOut(first, "d/f"))},
		{"repair.json", repair(c.id, c.anchor+1, takeOut(first, "d/f"))},
		{"repair.json", repair(c.id, c.anchor, put("../../7", 1))},
		{"repair.json", repair(c.id, c.anchor, put("1", 1))}, // not the inode that is there
		{"repair.json", repair(c.id, c.anchor, put("2", 1))}, // nor is it done
		{"acknowledged.json", object{"snapshot": "../outside", "time": "2030-01-01T00:00:00Z"}},
		{"damaged.json", object{"damaged": []object{{"kind": "content", "found": "\x1b[31m", "names": []object{
			{"snapshot": "..", "path": "outside/\x1b[31m"}, {"snapshot": first, "path": "../../outside/precious"}}}}}},
		{"work/report.json", object{"snapshot": "../outside"}},
		{"runs/2026-11-19T000000Z.unpublished.json", object{"snapshot": "..", "source": "\x1b[31m", "error": "\x1b[31m", "start": "2030-01-01T00:00:00Z"}},
	} {
		must(t, errors.Join(os.MkdirAll(c.path("repair/tree"), 0o700), os.RemoveAll(c.path("repair/tree/1"))))
		must(t, os.Symlink(c.out+"/precious", c.path("repair/tree/1")))
		c.write(n.place, n.note)
		for _, args := range [][]string{{"status", c.arch}, {"snapshot", "-q", c.src, c.arch}} {
			if status, told := c.typed(args...); status != 0 && status != statusDamage {
				t.Errorf("%v: %q ends with %d: %s", n, args, status, told)
			}
		}
		must(t, os.RemoveAll(c.path(n.place)))
		if now, err := os.ReadFile(c.path("catalogs/" + first + ".cat")); err != nil || !bytes.Equal(now, catalog) {
			t.Errorf("the catalog of %s was changed, %v", first, err)
		}
		if t.Failed() {
			t.Fatalf("%+v", n)
		}
	}
	c.write("forget.json", forget(c.id, "none", first)) // searches the records of runs for the path
	c.plant("runs/RUN.unpublished.json", func(_ *hostileCase, path string, _ []byte) error {
		return errors.Join(os.Mkdir(path, 0o700), os.WriteFile(path+"/in", nil, 0o600))
	})
	c.must("snapshot", "-q", c.src, c.arch)
	c.must("verify", c.arch)
}
