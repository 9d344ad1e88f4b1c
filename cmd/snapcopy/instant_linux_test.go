package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

// cli runs commands below a file system in memory.
type cli struct {
	t   *testing.T
	dir string
}

// run runs a command and gives its exit status and what it has printed.
func (c cli) run(args ...string) (status int, out, errOut string) {
	c.t.Helper()
	a, outBuf, errBuf := testApp(c.t)
	a.now = func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) }
	root := newRoot(a)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "DIR", c.dir)
	}
	root.SetArgs(args)
	status = finish(a, root.ExecuteContext(context.Background()))
	return status, outBuf.String(), errBuf.String()
}

// want runs a command that has to end with status and print text, to either output.
func (c cli) want(status int, text string, args ...string) {
	c.t.Helper()
	got, out, errOut := c.run(args...)
	if got != status || !strings.Contains(out+errOut, text) {
		c.t.Errorf("%v: exit status %d, want %d with %q\n%s%s", args, got, status, text, out, errOut)
	}
}

func newCLI(t *testing.T) cli {
	t.Helper()
	c := cli{t, t.TempDir()}
	testtree.Tmpfs(t, c.dir, "size=50m")
	t.Cleanup(func() {
		if err := unix.Unmount(filepath.Join(c.dir, "at"), 0); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := os.Mkdir(filepath.Join(c.dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, filepath.Join(c.dir, "src"), "dir d 0755\nfile d/f 0644 \"content\"\nfile e 0644 \"e\"")
	c.want(statusDone, "Snapshot 2026-11-23T020000Z", "snapshot", "DIR/src", "DIR/arch")
	return c
}

func (c cli) readers() (list []archive.Reader) {
	c.t.Helper()
	a, err := archive.Open(filepath.Join(c.dir, "arch"))
	if err == nil {
		if list, err = a.Readers.All(); err == nil {
			err = a.Close()
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return list
}

// Guards: from the snapshot to the settled folder, with all that is said on the way; the archive knows as long as it is
// needed.
func TestInstantCommand(t *testing.T) {
	c := newCLI(t)
	c.want(statusDone, "Snapshot 2026-11-23T020000Z is at "+c.dir+"/at, after ",
		"instant", "DIR/arch@latest", "DIR/at")
	if list := c.readers(); len(list) != 1 || list[0].Place != c.dir+"/at" {
		t.Errorf("readers: %+v", list)
	}
	c.want(statusFailed, "already mounted\nHint: ", "instant", "DIR/arch", "DIR/at")
	if err := os.WriteFile(filepath.Join(c.dir, "at/new"), []byte("n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(c.dir, "at/new"))
	if err != nil {
		t.Fatal(err)
	}
	c.want(statusFailed, "is in use by:\n  process ", "settle", "DIR/at")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(filepath.Join(c.dir, "at"), 0); err != nil { // as a reboot would
		t.Fatal(err)
	}
	lock, err := os.Open(filepath.Join(c.dir, ".at.snapcopy-instant", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if free, err := fsat.LockExclusive(int(lock.Fd())); err != nil || !free {
		t.Fatal(free, err)
	}
	for _, words := range [][]string{{"settle", "DIR/at"}, {"instant", "DIR/arch", "DIR/at"}} {
		c.want(statusLocked, "another process is working on it\nHint: try again when", words...)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	c.want(statusDone, "before are back", "instant", "DIR/arch", "DIR/at")
	if err := unix.Unmount(filepath.Join(c.dir, "at"), 0); err != nil {
		t.Fatal(err)
	}
	c.want(statusDone, "Settled "+c.dir+"/at in ", "settle", "DIR/at")
	if list := c.readers(); len(list) != 0 {
		t.Errorf("readers: %+v", list)
	}
	for name, want := range map[string]string{"new": "n", "d/f": "content"} {
		if got, err := os.ReadFile(filepath.Join(c.dir, "at", name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	c.want(statusFailed, "no instant restore at this path", "settle", "DIR/at")
}

// Guards: a tree that is mounted or settled is not said to be a failure, whatever fails afterwards, as the command cannot be
// repeated.
func TestInstantCommandOutputFails(t *testing.T) {
	c := newCLI(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer func() {
		if err := full.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, one := range []struct {
		args []string
		want string
	}{
		{[]string{"instant", c.dir + "/arch", c.dir + "/at"}, "Snapshot 2026-11-23T020000Z is at " + c.dir + "/at, but then something failed: "},
		{[]string{"settle", c.dir + "/at"}, c.dir + "/at is settled, but then something failed: "},
	} {
		a, _, errOut := testApp(t)
		a.term.out.Reset(full)
		root := newRoot(a)
		root.SetArgs(one.args)
		status := finish(a, root.ExecuteContext(context.Background()))
		if status != statusIncomplete || !strings.Contains(errOut.String(), one.want) {
			t.Errorf("%v: exit status %d: %s", one.args, status, errOut)
		}
	}
	c.want(statusFailed, "it is settled already", "settle", "DIR/at")
}

func TestInstantCommandJSON(t *testing.T) {
	c := newCLI(t)
	_, out, _ := c.run("instant", "DIR/arch", "DIR/at", "--json")
	var made instantObject
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Folder != c.dir+"/.at.snapcopy-instant" {
		t.Errorf("%s: %+v, %v", out, made, err)
	}
	_, out, _ = c.run("settle", "DIR/at", "--json")
	var settled settleObject
	if err := json.Unmarshal([]byte(out), &settled); err != nil || settled.Copied != 3 || !settled.Settled {
		t.Errorf("%s: %+v, %v", out, settled, err)
	}
}

// Guards: damage has its exit status, and an archive that is away does not end in a wrong tree.
func TestInstantCommandDamage(t *testing.T) {
	c := newCLI(t)
	if err := os.WriteFile(filepath.Join(c.dir, "arch/2026-11-23T020000Z/d/f"), []byte("cXntent"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(statusDone, "Contents are not checked yet", "instant", "DIR/arch", "DIR/at")
	if err := os.Rename(filepath.Join(c.dir, "arch"), filepath.Join(c.dir, "moved")); err != nil {
		t.Fatal(err)
	}
	c.want(statusFailed, "the archive is not where it was", "settle", "DIR/at")
	if err := unix.Unmount(filepath.Join(c.dir, "at"), 0); err != nil {
		t.Fatal(err)
	}
	c.want(statusDone, "The archive was in "+c.dir+"/arch before.", "instant", "DIR/moved", "DIR/at")
	c.want(statusDamage, "1 stored file is damaged", "settle", "DIR/at")
}

func TestInstantCommandUsage(t *testing.T) {
	c := cli{t, t.TempDir()}
	for _, u := range []struct {
		text string
		args []string
	}{
		{"unknown flag: --to\n", []string{"instant", "a", "x", "--to", "y"}},
		{"one argument too many: x", []string{"instant", "a", "p", "x"}},
		{"one argument too many: x", []string{"settle", "a", "x"}},
		{"unknown flag: --flags", []string{"instant", "a", "x", "--flags"}},
		{"MOUNTPOINT is missing", []string{"instant", "x"}},
		{"unknown flag: --delete", []string{"settle", "x", "--delete"}},
		{"--at and @SNAPSHOT exclude each other", []string{"instant", "a@latest", "x", "--at", "3d"}},
		{"--quiet and --verbose exclude each other", []string{"settle", "x", "-qv"}},
		{"is empty", []string{"settle", ""}},
		{"--at is empty", []string{"instant", "a", "x", "--at", ""}},
		{"Hint: `snapcopy instant ARCHIVE[@SNAPSHOT] MOUNTPOINT` makes ", []string{"restore", "a", "--instant", "x"}},
		{"Hint: `snapcopy settle MOUNTPOINT` turns ", []string{"restore", "--settle", "x"}},
	} {
		c.want(statusUsage, u.text, u.args...)
	}
}
