package repair_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/repair"
)

// lab is an archive to be damaged and repaired, with a pristine copy.
type lab struct {
	*archivetest.Lab
	items []repair.Item
}

// build is a history of three snapshots with one of everything that can be damaged: files that snapshots share and do not,
// contents that are stored twice, link groups, special files, folders without write permission.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Lab: archivetest.New(t)}
	l.Opt.Threads = 2
	l.Build(`dir d 0755 mtime=5.5
		dir d/e 0700 mtime=7.25
		dir d/e/deep 0755
		file d/e/deep/x 0644 deep
		file d/e/f 0644 random=70000:1 mtime=3.5 xattr.user.note="a note"
		file kept 0644 "kept" mtime=1.5
		file twin1 0600 random=50000:2
		file twin2 0644 random=50000:2
		file changes 0644 "before"
		file once 0640 random=9000:3
		file none 0644 ""
		file g1 0644 "group"
		link d/g2 g1
		symlink s kept
		fifo p 0600
		dir locked 0755
		file locked/in 0444 "locked in"
		set locked mode=0555 mtime=9.5`)
	testtree.Settle()
	l.Run()
	l.Build("write changes after\nmv once d/once\nset d mtime=5.5")
	testtree.Settle()
	l.Run()
	l.Build("rm d/once\nfile new 0644 new\nset d mtime=5.5")
	testtree.Settle()
	l.Run()
	t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+rwX", filepath.Dir(l.Arch)).Run() })
	return l
}

// copied makes an archive that has copies of all snapshots.
func (l *lab) copied() *archive.Archive {
	l.T.Helper()
	path := filepath.Join(l.T.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", l.Arch, path).CombinedOutput(); err != nil {
		l.T.Fatalf("%v: %s", err, out)
	}
	a, err := archive.Open(path)
	if err != nil {
		l.T.Fatal(err)
	}
	l.T.Cleanup(func() { l.Close(a) })
	return a
}

// found makes the options for a repair of what verify finds.
func (l *lab) found() (opt repair.Options) {
	l.T.Helper()
	for _, d := range l.Damage(verify.Options{}) {
		if !opt.Found(d.Snapshot, d.Path, d.Err) {
			l.T.Errorf("not to be repaired: %s %s: %v", d.Snapshot, d.Path, d.Err)
		}
	}
	opt.Verified = l.Order
	return opt
}

// repair repairs what verify finds.
func (l *lab) repair(opt repair.Options) *repair.Report {
	l.T.Helper()
	rep, err := l.tryRepair(opt)
	if err != nil {
		l.T.Fatalf("repair: %v", err)
	}
	return rep
}

func (l *lab) tryRepair(opt repair.Options) (*repair.Report, error) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	l.items = nil
	opt.Tell = func(item *repair.Item) error {
		l.items = append(l.items, *item)
		return nil
	}
	before := testtree.OpenDescriptors(l.T)
	rep, err := repair.Run(context.Background(), a, opt)
	if after := testtree.OpenDescriptors(l.T); after != before {
		l.T.Errorf("the repair left %d descriptors open", after-before)
	}
	return rep, err
}

// same checks that each snapshot is what it was when it was published, and that its catalog agrees.
func (l *lab) same() {
	l.T.Helper()
	for _, name := range l.Order {
		testtree.Equal(l.T, "snapshot "+name, l.Taken[name], testtree.Take(l.T, l.Path(name)), 0)
	}
	l.Verify()
	for _, dir := range []string{archive.RepairDir, "repair.json"} {
		if _, err := os.Lstat(l.Path(archive.MetaDir, dir)); err == nil {
			l.T.Errorf("%s is left", dir)
		}
	}
}

// inodes checks that catalogs have the numbers of the stored files in the folders.
func (l *lab) inodes() {
	l.T.Helper()
	for _, name := range l.Order {
		is := testtree.Take(l.T, l.Path(name))
		for path, e := range l.Entries(name) {
			if e.Stored != is[path].Ino {
				l.T.Errorf("%s: %s is inode %d, its catalog says %d", name, path, is[path].Ino, e.Stored)
			}
		}
	}
}

// each does something to a path in each snapshot that has it; to every stored file once.
func (l *lab) each(path string, do func(path string) error) {
	l.T.Helper()
	var done []uint64
	for _, name := range l.Order {
		item, has := l.Taken[name][path]
		if !has || slices.Contains(done, item.Ino) {
			continue
		}
		done = append(done, item.Ino)
		if err := do(l.Path(name, path)); err != nil {
			l.T.Fatal(err)
		}
	}
}

// removeSource removes the source.
func (l *lab) removeSource() {
	l.T.Helper()
	if out, err := exec.Command("chmod", "-R", "u+rwX", l.Src).CombinedOutput(); err != nil {
		l.T.Fatalf("%v: %s", err, out)
	}
	if err := os.RemoveAll(l.Src); err != nil {
		l.T.Fatal(err)
	}
}

// rot changes a byte in the middle of a file and keeps its times.
func rot(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text[len(text)/2] ^= 1
	mode := info.Mode()
	if err := os.Chmod(path, mode|0o200); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// origins lists the items in short: path, kind of origin.
func (l *lab) origins() (list []string) {
	for _, item := range l.items {
		text := string(item.What)
		if item.What == repair.OfEntry && len(item.Names) > 0 {
			text = item.Names[0].Path
		}
		switch {
		case item.Err != nil:
			text += " lost"
		case item.Origin != nil:
			text += " " + string(item.Origin.Kind)
		}
		if n := len(item.Names); n > 1 {
			text += strings.Repeat("+", n-1)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}
