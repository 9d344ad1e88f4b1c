package snapshot_test

import (
	"fmt"
	"os"
	"testing"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: a dry run says whether the snapshot fits, by bytes and by inodes, with links counted once and holes not at all.
func TestForeseen(t *testing.T) {
	for _, c := range []struct {
		name, options, tree string
		bytes, inodes       bool
	}{
		{"fits", "size=16m", "file f 0644 random=9000000:1\nlink g f\nlink h f", false, false},
		{"bytes", "size=16m", "file f 0644 random=9000000:1\nfile g 0644 random=9000000:2", true, false},
		{"inodes", "size=16m,nr_inodes=60", "", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Build("file first 0644 x")
			if err := os.Mkdir(l.Arch, 0o755); err != nil {
				t.Fatal(err)
			}
			testtree.Tmpfs(t, l.Arch, c.options)
			l.Run()
			l.Build(c.tree)
			for i := 0; c.inodes && i < 60; i++ {
				l.Build(fmt.Sprintf("file n%d 0644 x", i))
			}
			free := archivetest.FreeSpace(t, l.Arch)
			l.Opt.DryRun = true
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if err != nil {
				t.Fatal(err)
			}
			if n := rep.Needs; n == nil || n.LacksBytes() != c.bytes || n.LacksInodes() != c.inodes || n.Lacks() != (c.bytes || c.inodes) {
				t.Errorf("needs %+v", n)
			}
			if now := archivetest.FreeSpace(t, l.Arch); now != free {
				t.Errorf("%d bytes were free, now %d", free, now)
			}
		})
	}
}
