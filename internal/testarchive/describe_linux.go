package testarchive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// Describe gives one line for each entry of a tree, with everything that a restore promises.
func Describe(t *testing.T, root string) []string {
	t.Helper()
	fd, err := fsat.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	d := description{t: t, first: make(map[tree.InodeID]string), buf: make([]byte, 64<<10)}
	d.check(fsat.Close(d.dir(fd, "")))
	return d.lines
}

type description struct {
	t     *testing.T
	lines []string
	first map[tree.InodeID]string // of each inode with several names, the first one met
	buf   []byte
}

// dir describes an open directory. It returns a handle of it, which need not be the same: no more than two are open at
// a time, however deep the tree is.
func (d *description) dir(fd int, path string) int {
	d.t.Helper()
	d.entry(fd, ".", path)
	list, err := fsat.ReadDir(fd, d.buf)
	d.check(err)
	for _, e := range list {
		if e.Type != fsat.Directory {
			d.entry(fd, e.Name, path+"/"+e.Name)
			continue
		}
		child, err := fsat.OpenDir(fd, e.Name)
		d.check(err)
		d.check(fsat.Close(fd))
		child = d.dir(child, path+"/"+e.Name)
		fd, err = fsat.OpenParent(child)
		d.check(errors.Join(err, fsat.Close(child)))
	}
	return fd
}

func (d *description) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *description) entry(dir int, name, path string) {
	d.t.Helper()
	var st fsat.Stat
	d.check(fsat.StatAt(dir, name, &st))
	line := fmt.Sprintf("%q type=%x mode=%04o owner=%d:%d mtime=%d.%09d", path, st.Type, st.Mode, st.UID, st.GID,
		st.Mtime.Sec, st.Mtime.Nsec)
	switch st.Type {
	case fsat.Regular:
		line += fmt.Sprintf(" size=%d %s", st.Size, d.content(dir, name, st.Size))
	case fsat.Symlink:
		target, err := fsat.Readlink(dir, name, st.Size)
		d.check(err)
		line += fmt.Sprintf(" target=%q", target)
	case fsat.CharDevice, fsat.BlockDevice:
		line += fmt.Sprintf(" device=%d:%d", st.Major, st.Minor)
	}
	if st.Type != fsat.Directory && st.Nlink > 1 {
		if _, ok := d.first[tree.IDOf(&st)]; !ok {
			d.first[tree.IDOf(&st)] = path
		}
		line += fmt.Sprintf(" link=%q", d.first[tree.IDOf(&st)])
	}
	set, err := fsat.XattrsAt(dir, name)
	d.check(err)
	for _, x := range set {
		line += fmt.Sprintf(" %s=%x", x.Name, x.Value)
	}
	d.lines = append(d.lines, line)
}

func (d *description) content(dir int, name string, size int64) string {
	d.t.Helper()
	fd, err := fsat.OpenFile(dir, name)
	if fsat.IsRefused(err) {
		return "unreadable"
	}
	d.check(err)
	defer func() { d.check(fsat.Close(fd)) }()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for at := int64(0); at < size; {
		n, err := fsat.Read(fd, buf, at)
		d.check(err)
		h.Write(buf[:n])
		at += int64(n)
	}
	text := fmt.Sprintf("sha=%x data=", h.Sum(nil)[:8])
	for at := int64(0); ; {
		start, end, ok, err := fsat.NextData(fd, at, size)
		d.check(err)
		if !ok {
			return text
		}
		text += fmt.Sprintf("[%d-%d]", start, end)
		at = end
	}
}

func SameTree(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("restored tree differs (-want +got):\n%.4000s", diff)
	}
}
