package restore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: a target that is too small is told of before anything is written; if asked for, or if it fills up for another
// reason, the restore stops, leaves no half file, and goes on once there is room.
func TestFullDisk(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 16<<20)
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/a 0644 random=3000000:1\nfile d/b 0644 random=3000000:2\nlink c d/b\n"+
		"file e 0644 random=3000000:3\nset d mtime=7\nset . mtime=8")
	a := take(t, source)
	filler := filepath.Join(disk.Path, "filler")
	if err := os.WriteFile(filler, testtree.Random(8<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(disk.Path, "to")
	_, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{})
	var space *SpaceError
	if !errors.As(err, &space) || space.Need < 9_000_000 || space.Free > space.Need || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	if tree := testtree.Take(t, to); len(tree) != 1 {
		t.Errorf("something was written: %v", tree)
	}
	for range 2 {
		rep, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{IgnoreSpace: true})
		if !errors.Is(err, unix.ENOSPC) || rep == nil {
			t.Fatalf("error %v", err)
		}
		want := testtree.Take(t, source)
		for path, got := range testtree.Take(t, to) {
			if w := want[path]; got.Type == "file" && path != unfinishedName && got.Content != w.Content {
				t.Errorf("%s is half there", path)
			}
		}
		noTemporaryNames(t, to)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if rep := a.wantMirror(source, to, Options{}); !rep.Resumed {
		t.Error("it did not go on")
	}

	// The same in a tree that existed: what is to be replaced stays until there is something in its place.
	to = filepath.Join(disk.Path, "old")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, to, "dir d 0755\nfile d/a 0644 old\nfile d/b 0644 random=1000000:9")
	before := testtree.Take(t, to)
	if _, err := Run(context.Background(), a.OpenSnapshot, nil, to, mirror); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	want := testtree.Take(t, source)
	for path, got := range testtree.Take(t, to) {
		if got.Type == "file" && got.Content != want[path].Content && got.Content != before[path].Content {
			t.Errorf("%s is neither the old nor the new file", path)
		}
	}
	if err := os.RemoveAll(filepath.Join(disk.Path, "to")); err != nil {
		t.Fatal(err)
	}
	a.wantMirror(source, to, mirror)
}

// Guards: an attribute for which there is no room on the disk is not left out as if the file system could not hold it.
func TestFullDiskForXattrs(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 16<<20, "-m", "0")
	source := testarchive.BuiltTree(t, "file f 0644 xattr.user.a="+strings.Repeat("x", 600)+"\nfile g 0644\nset . mtime=8")
	a := take(t, source)
	to := filepath.Join(disk.Path, "to")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, to, "file other 0644")
	filler := filepath.Join(disk.Path, "filler")
	fillUp(t, filler)
	for range 2 {
		if rep, err := Run(context.Background(), a.OpenSnapshot, nil, to, mirror); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("error %v, report %+v", err, rep)
		}
		noTemporaryNames(t, to)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	a.wantMirror(source, to, mirror)
}

// fillUp takes every block of a disk: small pieces, each on the disk before the next, leave no room that is set aside.
func fillUp(t *testing.T, filler string) {
	t.Helper()
	f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size >= 1<<10; {
		_, err := f.Write(make([]byte, size))
		switch err = errors.Join(err, f.Sync()); {
		case errors.Is(err, unix.ENOSPC):
			size /= 4
		case err != nil:
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Guards: Verify reads back what was written, counts it, and does not let through what reads back as something else.
func TestVerifyReadsBack(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 random=100000:1\nfile g 0644 other\nlink h g\nset . mtime=3")
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	if rep := a.wantMirror(source, to, Options{Verify: true}); rep.BytesVerified != 100_005 {
		t.Errorf("%d bytes verified", rep.BytesVerified)
	}
	if rep := a.wantMirror(source, to, Options{Verify: true}); rep.BytesVerified != 0 {
		t.Errorf("%d bytes verified, and none written", rep.BytesVerified)
	}
	to = testarchive.BuiltTree(t, "file own 0644") // in a new folder a file has its own name from the start
	spoilt := false
	rep := a.restore(nil, to, Options{Verify: true, Threads: 1, Fault: func(step string) error {
		if step == "unnamed" {
			return unix.EOPNOTSUPP
		}
		if step != "metadata" || spoilt {
			return nil
		}
		return filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(e.Name(), leftover.Prefix) && !leftover.IsNoteName(e.Name()) {
				spoilt = true
				content, readErr := os.ReadFile(path)
				content = bytes.Repeat([]byte("X"), len(content))
				err = errors.Join(readErr, os.WriteFile(path, content, 0o600))
			}
			return err
		})
	}})
	wantFailed(t, rep, "f")
	if len(rep.Failed) == 1 && !errors.Is(rep.Failed[0].Err, errReadBack) {
		t.Error(rep.Failed[0].Err)
	}
	if _, err := os.Lstat(filepath.Join(to, "f")); err == nil {
		t.Error("it was given its name")
	}
	noTemporaryNames(t, to)
}

// Guards: with Attrs an exact mirror has the attributes of the source, those that lock set last, and no others.
func TestAttributesAreMirrored(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 24<<20)
	folder := func(name, script string) string {
		path := filepath.Join(disk.Path, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		testtree.Build(t, path, script)
		return path
	}
	source := folder("source", "dir d 0755\nfile d/nodump 0644 x mtime=5\nfile d/plain 0644 x mtime=5\n"+
		"file locked 0644 x mtime=5\ndir append 0755\nfile append/f 0644 x mtime=5\nset d mtime=6\n"+
		"set append mtime=6\nset . mtime=6")
	testtree.Build(t, source, "chattr d/nodump +dA\nchattr locked +i\nchattr append +a")
	to := folder("to", "dir d 0755\nfile d/nodump 0644 x mtime=5\nfile d/plain 0644 x mtime=5\nfile locked 0644 old\n"+
		"chattr d/plain +d\nchattr d +d")
	unlock := func() {
		for _, dir := range []string{source, to} {
			chattr(t, "-i", dir, []string{"locked"})
			chattr(t, "-a", dir, []string{"append"})
		}
	}
	t.Cleanup(unlock)
	attrs := func(root string) string {
		var text strings.Builder
		for _, name := range []string{".", "d", "d/nodump", "d/plain", "locked", "append", "append/f"} {
			fd, err := openFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			bits, err := fsat.Attrs(fd)
			if err := errors.Join(err, fsat.Close(fd)); err != nil {
				t.Fatal(err)
			}
			text.WriteString(name + ":" + string(rune('0'+bits>>4&0xf)) + string(rune('0'+bits>>6&3)) + " ")
		}
		return text.String()
	}
	a := take(t, source)
	opt := mirror
	opt.Attrs = true
	for range 2 {
		rep := a.wantMirror(source, to, opt)
		if rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
			t.Errorf("not held: %+v", rep.CatalogOnly)
		}
		if want, got := attrs(source), attrs(to); want != got {
			t.Errorf("attributes %s, want %s", got, want)
		}
	}
	testtree.Build(t, to, "chattr locked -i\nchattr d/nodump -d")
	a.wantMirror(source, to, opt)
	if want, got := attrs(source), attrs(to); want != got {
		t.Errorf("attributes %s, want %s", got, want)
	}
}

func openFile(path string) (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) }

// Guards: what only seems too much is restored: holes, second names and what is left out take no room.
func TestSpaceOfWhatIsStored(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 16<<20)
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/hole 0644 hole=200000000\nfile d/a 0644 random=6000000:1\nlink b d/a\nlink c d/a\n"+
		"dir out 0755\nfile out/x 0644 random=6000000:2\nset d mtime=7\nset . mtime=8")
	a := take(t, source)
	to := filepath.Join(disk.Path, "to")
	if rep := a.restore([]string{"d", "b"}, to, Options{}); rep.FailedCount > 0 || rep.Linked != 1 {
		t.Errorf("report %+v", rep)
	}
	rep, err := Run(context.Background(), a.OpenSnapshot, nil, filepath.Join(disk.Path, "all"), Options{})
	var space *SpaceError
	if !errors.As(err, &space) || space.Need < 12_000_000 || space.Need > 13_000_000 || !errors.Is(err, ErrNoRoom) {
		t.Errorf("error %v, report %+v", err, rep)
	}
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if rep := a.restore(nil, to, Options{Exclude: excluding(t, "out")}); rep.FailedCount > 0 || rep.Linked != 2 {
		t.Errorf("report %+v", rep)
	}
}
