package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: going on leaves no part of a file whose stored file is damaged, and no name of the damage; what was finished
// before that stays.
func TestGoingOnDropsDamagedParts(t *testing.T) {
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 random=10000:1 mtime=5\nfile d/group 0644 random=10000:2 mtime=5\n"+
		"link d/name d/group\nfile d/ready 0644 random=10000:3 mtime=5")
	a := take(t, source)
	ready, err := os.ReadFile(filepath.Join(source, "d/ready"))
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(testarchive.TempDir(t), "to")
	o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: to, KillAt: 3}
	if killed, _ := o.run(t); !killed {
		t.Fatal("it was not killed")
	}
	if err := os.MkdirAll(filepath.Join(to, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(dir, name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "d", name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "group", "ready"} {
		content, err := os.ReadFile(filepath.Join(a.Dir, "d", name))
		if err != nil {
			t.Fatal(err)
		}
		content[0]++
		write(a.Dir, name, content)
		write(to, name, content)
	}
	write(to, "ready", ready)
	testtree.Build(t, to, "set d/ready mtime=5")
	rep := a.restore(nil, to, Options{})
	if !rep.Resumed {
		t.Error("it was not gone on with")
	}
	wantFailed(t, rep, "d/f", "d/group", "d/name")
	list, err := os.ReadDir(filepath.Join(to, "d"))
	if err != nil || len(list) != 1 || list[0].Name() != "ready" {
		t.Errorf("there is %v (%v)", list, err)
	}
}

// finished reports whether an order that was killed had nothing left to do but the last sync: then it is not gone on
// with, and without privileges not all is as in the snapshot.
func (o *order) finished(t *testing.T) bool {
	list, err := os.ReadDir(o.To)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == unfinishedName })
}

// Guards: without privileges, what a finished mode closes to us is known for what it is at every step.
func TestGoingOnWithClosedFiles(t *testing.T) {
	needRoot(t)
	const user = 1000
	source := testarchive.BuiltTree(t, "dir d 0755 owner=1000:1000\nfile d/a 0040 a owner=1000:1000 mtime=5\n"+
		"file d/b 0 b owner=1000:1000 mtime=5\nset d mtime=5\nset . owner=1000:1000 mode=0755 mtime=5")
	a := take(t, source)
	for _, path := range []string{a.Dir + "/d/a", a.Dir + "/d/b", a.catalogPath()} { // the user may read the archive
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	letIn := func(dir string, mode os.FileMode) {
		for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	letIn(a.Dir, 0o755)
	letIn(filepath.Dir(a.catalogPath()), 0o755)
	want := testtree.Take(t, source)
	for at, killed := int64(1), true; killed; at++ {
		dir := testarchive.TempDir(t)
		letIn(dir, 0o777)
		o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: filepath.Join(dir, "to"), User: user, KillAt: at}
		killed, _ = o.run(t)
		if o.KillAt = 0; !o.finished(t) {
			o.run(t)
		}
		testtree.Equal(t, fmt.Sprint("killed before step ", at), want, testtree.Take(t, o.To), 0)
	}
}

// Guards: the note that a restore is not finished goes when all contents are on the disk. A file system brings names to
// the disk at any time, and contents that it has not given a place yet long after that.
func TestPowerCutDuringLastSync(t *testing.T) {
	errPowerCut := errors.New("power cut")
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			disk := testtree.NewDisk(t, kind, 400<<20)
			source := testarchive.BuiltTree(t, "dir d 0755\nfile d/a 0644 random=10000:1\nfile d/b 0600 random=100000:2\nfile c 0644 x")
			a := take(t, source)
			to := filepath.Join(disk.Path, "to")
			opt := Options{Fault: func(step string) error {
				if step != "sync" {
					return nil
				}
				fd, err := openForTest(to)
				if err != nil {
					return errors.Join(errPowerCut, err)
				}
				err = errors.Join(unix.Fsync(fd), unix.Close(fd), testtree.PowerCut(to, 2))
				return errors.Join(errPowerCut, err)
			}}
			if _, err := Run(context.Background(), a.OpenSnapshot, nil, to, opt); !errors.Is(err, errPowerCut) {
				t.Fatal(err)
			}
			if err := disk.Unmount(); err != nil {
				t.Fatal(err)
			}
			disk.Remount("")
			wantFailed(t, a.restore(nil, to, Options{}))
			testtree.Equal(t, "after the power cut", testtree.Take(t, source), testtree.Take(t, to), 0)
		})
	}
}
