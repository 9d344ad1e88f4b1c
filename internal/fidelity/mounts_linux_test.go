package fidelity

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

// below reports whether path is one of the folders or in it.
func below(path string, folders ...string) bool {
	for _, f := range folders {
		if strings.HasPrefix(path, f+"/") {
			return true
		}
	}
	return false
}

// Guards: file systems mounted below the source, also over a file, are copied with all they hold, or with OneFileSystem
// are the empty folders that they would be mounted on; equal inode numbers on two of them are no link group.
func TestMountsBelowTheSource(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		other := map[string]string{"ext4": "xfs", "xfs": "btrfs", "btrfs": "ext4"}[l.kind]
		elsewhere := folderOn(t, other)
		testtree.Build(t, elsewhere, `
			dir tree 0750 mtime=1000.5 xattr.user.on="the other file system"
			file tree/f 0644 "on the other one" mtime=5.5
			link tree/g tree/f
			dir tree/deep 0711
			file tree/deep/h 0600 "h"
			dir more 0755
			file more/i 0600 "i"
			link more/j more/i`)
		l.build(`
			file f 0644 "on this one"
			link g f
			dir tmp 0700
			file tmp/hidden 0644 "below the mount: not to be seen"
			dir disk 0755
			dir bound 0755
			dir here 0755
			dir here/from 0755
			file here/from/x 0644 "bound within the source"
			dir again 0755`)
		testtree.Tmpfs(t, filepath.Join(l.src, "tmp"), "size=4m,mode=751")
		testtree.Bind(t, filepath.Join(elsewhere, "tree"), filepath.Join(l.src, "bound"))
		testtree.Bind(t, filepath.Join(elsewhere, "more"), filepath.Join(l.src, "disk"))
		testtree.Bind(t, filepath.Join(l.src, "here"), filepath.Join(l.src, "again"))
		l.build(`
			file tmp/inner 0644 inner
			link tmp/again tmp/inner
			dir tmp/sub 0755
			file tmp/sub/f 0644 w
			set tmp mtime=9.9`)
		testtree.Settle()

		// Bound twice, an inode has two paths and only one name: it need not be one stored file.
		l.ignore = testtree.Group
		l.run()
		rep := l.run()
		if rep.Counts.Unchanged != rep.Counts.Files {
			t.Errorf("nothing changed, but: %+v", rep.Counts)
		}
		groups(t, l, "f g", "tmp/inner tmp/again", "bound/f bound/g", "disk/i disk/j")
		l.opt.OneFileSystem = true
		l.expect = func(tree testtree.Tree) {
			tree.Remove(func(path string) bool { return below(path, "tmp", "bound", "disk") })
		}
		rep = l.run()
		if rep.Counts.Excluded != 3 {
			t.Errorf("%d excluded", rep.Counts.Excluded)
		}
		groups(t, l, "f g")
		l.opt.OneFileSystem, l.expect = false, nil
		l.run()
		l.later()
	})
}

// groups makes sure that the paths of each line share one inode in the last snapshot.
func groups(t *testing.T, l *lab, lines ...string) {
	t.Helper()
	for _, line := range lines {
		paths := strings.Fields(line)
		for _, p := range paths {
			if a, b := l.last(0)[paths[0]], l.last(0)[p]; a.Ino != b.Ino || a.Ino == 0 {
				t.Errorf("%s: inodes %d and %d", line, a.Ino, b.Ino)
			}
		}
	}
}

// Guards: subvolumes of btrfs, which begin their inode numbers anew, are folders like any other, or other file systems
// for OneFileSystem; inodes of equal number in two of them are no link group.
func TestSubvolumes(t *testing.T) {
	needRoot(t)
	testtree.Need(t, "btrfs")
	l := newLab(t, "btrfs")
	btrfs := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs %s: %v: %s", args, err, out)
		}
	}
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(l.src, name)
		btrfs("subvolume", "create", path)
		l.build(strings.ReplaceAll("file X/f 0644 \"in X\"\nlink X/g X/f\ndir X/d 0755\nfile X/d/h 0600 h", "X", name))
	}
	btrfs("subvolume", "snapshot", "-r", filepath.Join(l.src, "one"), filepath.Join(l.src, "frozen"))
	t.Cleanup(func() { btrfs("property", "set", "-ts", filepath.Join(l.src, "frozen"), "ro", "false") })
	testtree.Settle()
	l.run()
	l.run()
	groups(t, l, "one/f one/g", "two/f two/g", "frozen/f frozen/g")
	if l.last(0)["one/f"].Ino == l.last(0)["two/f"].Ino || l.last(0)["one/f"].Ino == l.last(0)["frozen/f"].Ino {
		t.Error("files of two subvolumes share an inode")
	}
	l.allShared()
	l.opt.OneFileSystem = true
	l.expect = func(tree testtree.Tree) {
		tree.Remove(func(path string) bool { return below(path, "one", "two", "frozen") })
	}
	l.run()
	l.later()
}

// Guards: a file bound over a file shows its content and metadata.
func TestFileBoundOverFile(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		outside := filepath.Join(l.base, "outside")
		l.check(os.Mkdir(outside, 0o755))
		l.build("file over 0600 \"what is below\"\nfile ../outside/f 0644 \"what is seen\" mtime=5.5 xattr.user.x=1")
		testtree.Bind(t, filepath.Join(outside, "f"), filepath.Join(l.src, "over"))
		l.run()
		l.run()
		if got := l.last(0)["over"]; got.Size != int64(len("what is seen")) {
			t.Errorf("snapshot: %+v", got)
		}
		l.later()
	})
}

// Guards: files of the kernel, which have other sizes than they say or cannot be read at all, are stored as they read;
// what cannot be read is listed, nothing blocks, and each run reads them again.
func TestKernelFiles(t *testing.T) {
	needRoot(t)
	for _, dir := range []string{"/proc/sys/kernel", "/sys/kernel/mm"} {
		t.Run(dir, func(t *testing.T) {
			if _, err := os.Stat(dir); err != nil {
				t.Skip(err)
			}
			l := newLab(t, "ext4")
			l.src = dir
			read := func() map[string]string {
				content := make(map[string]string)
				l.check(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
					if b, readErr := os.ReadFile(path); err == nil && readErr == nil && e.Type().IsRegular() && len(b) > 0 {
						content[strings.TrimPrefix(path, dir+"/")] = string(b)
					}
					return err
				}))
				return content
			}
			for range 2 {
				before := read()
				rep := l.runChanging()
				after := read()
				seen := 0
				for path, want := range before {
					if after[path] != want { // it changes by itself
						continue
					}
					seen++
					got, err := os.ReadFile(filepath.Join(l.path(rep.Snapshot), path))
					if err != nil || string(got) != want {
						t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
					}
				}
				if seen < 5 {
					t.Errorf("only %d files with content: the test shows nothing", seen)
				}
				for _, f := range rep.Failed {
					if _, err := os.ReadFile(filepath.Join(dir, f.Path)); err == nil {
						t.Errorf("failed: %+v", f)
					}
				}
			}
			l.intact()
			l.verify()
			l.restored(l.order[0], nil)
		})
	}
}

// Guards: a tree that is bound into the source twice is stored twice, each with its own link groups, or once; the next run
// finds it unchanged, and nothing takes that for damage.
func TestTreeSeenTwice(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		l.build("dir here 0755\nfile here/f 0644 f\nlink here/g here/f\nfile here/h 0644 h\ndir there 0755\ndir yonder 0755")
		testtree.Bind(t, filepath.Join(l.src, "here"), filepath.Join(l.src, "there"))
		testtree.Bind(t, filepath.Join(l.src, "here"), filepath.Join(l.src, "yonder"))
		testtree.Settle()
		l.ignore = testtree.Group
		l.run()
		for range 3 {
			rep := l.run()
			if rep.Counts.Unchanged != rep.Counts.Files || rep.Counts.BytesRead > 0 {
				t.Errorf("nothing changed, but: %+v", rep.Counts)
			}
			groups(t, l, "here/f here/g", "there/f there/g", "yonder/f yonder/g")
		}
		l.later()
	})
}
