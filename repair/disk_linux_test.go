package repair_test

import (
	"os"
	"testing"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
)

// Guards: a repair does on other file systems what it does on the usual one: with reflinks, and without hard links, modes and
// owners.
func TestRepairOnDisks(t *testing.T) {
	for _, kind := range []string{"btrfs", "vfat"} {
		t.Run(kind, func(t *testing.T) {
			base, _ := archivetest.OnDisk(t, kind, false)
			l := &lab{Lab: base}
			l.Opt.AllowCopies = true
			if kind == "vfat" {
				l.Without = testtree.Mode | testtree.Owner | testtree.Mtime | testtree.Xattrs | testtree.Holes | testtree.Group
			}
			l.Build("dir d 0755\nfile d/a 0644 random=200000:1 mtime=1700000000\nfile twin 0644 random=200000:1 mtime=1700000100\nfile b 0644 b mtime=1700000000")
			testtree.Settle()
			l.Run()
			l.Build("write b bb")
			testtree.Settle()
			l.Run()
			l.Verify()
			for _, s := range l.Order {
				l.must(rot(l.Path(s, "d/a")))
				if kind == "btrfs" {
					break // the other one is the same file
				}
			}
			l.must(os.Remove(l.Path(l.Order[1], "twin")))
			if rep := l.repair(l.found()); rep.Unrepaired > 0 {
				t.Errorf("%+v", l.items)
			}
			for _, name := range l.Order {
				testtree.Equal(t, "snapshot "+name, l.Taken[name], testtree.Take(t, l.Path(name)), l.Without)
			}
			l.Verify()
		})
	}
}
