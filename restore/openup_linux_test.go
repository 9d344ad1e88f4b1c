package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: a user's own folder that is closed to him gets what it lacks, by a path in it as by the whole, and has its mode
// again at the end, also of a restore that fails.
func TestOwnReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		testarchive.AsUser(t)
		return
	}
	script := "dir m 0755\nfile m/f 0644 x\nfile m/g 0644 x\ndir m/sub 0755\nfile m/sub/h 0644 x\nlink m/l m/f\nset . mtime=5"
	source := testarchive.BuiltTree(t, script)
	a := take(t, source)
	boom := errors.New("boom")
	for _, mode := range []os.FileMode{0o555, 0o500, 0o311, 0o000} {
		for _, c := range []struct {
			paths []string
			opt   Options
			fault string
		}{
			{[]string{"m/f"}, inPlace, ""},
			{[]string{"m/f"}, Options{InPlace: true}, ""},
			{[]string{"m/sub/h"}, Options{InPlace: true}, ""},
			{[]string{"m/f", "m/l", "m/sub"}, inPlace, ""},
			{[]string{"m/f"}, inPlace, "sync"},
			{nil, Options{InPlace: true, Overwrite: OverwriteChanged}, ""},
			{nil, Options{InPlace: true}, ""},
			{nil, Options{InPlace: true}, "sync"},
			{nil, Options{InPlace: true, Overwrite: OverwriteChanged}, "sync"},
		} {
			if c.paths == nil && c.opt.Overwrite == OverwriteNever && mode&0o500 != 0o500 {
				continue // what is in it cannot be looked at, and nothing is to be changed
			}
			to := testarchive.BuiltTree(t, script)
			m := filepath.Join(to, "m")
			for _, name := range []string{"f", "l", "sub"} {
				if err := os.RemoveAll(filepath.Join(m, name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(m, mode); err != nil {
				t.Fatal(err)
			}
			opt := c.opt
			opt.Fault = func(step string) error {
				if step == c.fault {
					return boom
				}
				return nil
			}
			rep, err := Run(context.Background(), a.OpenSnapshot, c.paths, to, opt)
			if (err != nil) != (c.fault != "") || err != nil && !errors.Is(err, boom) {
				t.Fatalf("%04o, %q: %v", mode, c.paths, err)
			}
			want := mode
			if c.paths == nil && c.opt.Overwrite != OverwriteNever {
				want = 0o755 // as in the snapshot
			}
			info, err := os.Stat(m)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%04o, %q, %+v: %v, %v", mode, c.paths, c.opt.Overwrite, info.Mode(), err)
			}
			if err := os.Chmod(m, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, path := range c.paths {
				exist(t, to, true, path)
			}
			if c.paths == nil {
				exist(t, to, true, "m/f", "m/l", "m/sub/h")
			} else {
				wantFailed(t, rep)
			}
		}
	}
}

// Guards: nothing is opened up where nothing changes.
func TestNothingIsOpenedUpForNothing(t *testing.T) {
	if os.Geteuid() == 0 {
		testarchive.AsUser(t)
		return
	}
	a := take(t, testarchive.BuiltTree(t, "dir m 0555\nset m mtime=4\nset . mtime=5"))
	to := testarchive.BuiltTree(t, "dir m 0555\nset m mtime=4\nset . mtime=5")
	ctime := func() syscall.Timespec {
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(to, "m"), &st); err != nil {
			t.Fatal(err)
		}
		return st.Ctim
	}
	before := ctime()
	testtree.Settle()
	for _, opt := range []Options{{}, {Overwrite: OverwriteChanged}, mirror} {
		wantFailed(t, a.restore(nil, to, opt))
		if after := ctime(); after != before {
			t.Errorf("%+v: changed at %v, before at %v", opt, after, before)
		}
	}
}
