package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Guards: the state folder of an instant restore is closed to others whatever the umask: its upper folder has the
// mode that the mounted tree shows.
func TestInstantStateIsPrivate(t *testing.T) {
	c := newCLI(t)
	for _, mask := range []int{0, 0o022, 0o077} {
		old := unix.Umask(mask)
		c.want(statusDone, "", "instant", "--quiet", "DIR/arch", "DIR/at")
		unix.Umask(old)
		folders, err := filepath.Glob(filepath.Join(c.dir, ".at.snapcopy-*"))
		if err != nil || len(folders) == 0 {
			t.Fatalf("state folders: %v, %v", folders, err)
		}
		for _, folder := range folders {
			err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if e.Name() == "upper" {
					return fs.SkipDir
				}
				if info, err := e.Info(); err != nil || info.Mode()&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
					t.Errorf("umask %04o: %s: %v %v", mask, path, info, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		c.want(statusDone, "", "settle", "--quiet", "DIR/at")
		if err := unix.Rename(filepath.Join(c.dir, "at"), filepath.Join(c.dir, fmt.Sprint("settled", mask))); err != nil {
			t.Fatal(err)
		}
	}
}
