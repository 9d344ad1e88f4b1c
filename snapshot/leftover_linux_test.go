package snapshot_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"snapcopy/internal/leftover"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: what a restore that was cut short has left in the source stays out of the snapshot, and that it was cut short is
// told; a user's files and folders with the same kind of names are stored.
func TestLeftoversStayOut(t *testing.T) {
	l := newLab(t)
	temporary := func(folder string) string {
		info, err := os.Stat(folder)
		check(t, err)
		return leftover.Temporary(7, info.Sys().(*syscall.Stat_t).Ino)
	}
	l.Build(`dir d 0755
		file d/f 0644 f
		dir e 0755
		file e/.snapcopy-restore-unfinished 0600 "mine"
		file e/.snapcopy-restore-unfinished-2 0600
		file e/.snapcopy-restore-0123456789abcdef-1 0600 "mine"
		file e/` + temporary(l.Src) + ` 0600 "the name is that of another folder"
		dir e/.site.snapcopy-new 0700
		file e/.site.snapcopy-new/f 0600 "mine"
		dir e/.site.snapcopy-instant 0700
		file e/.site.snapcopy-instant/state.json 0600 "{}"
		file e/.snapcopy 0600`)
	testtree.Settle()
	want := testtree.Take(t, l.Src)
	l.Build("dir d/.site.snapcopy-new 0700\nfile d/.site.snapcopy-new/f 0600 \"half\"")
	note := []byte(leftover.Note("what\n"))
	for _, name := range []string{"d/" + leftover.NoteName(0), leftover.NoteName(1), "d/.site.snapcopy-new/" + leftover.NoteName(0)} {
		check(t, os.WriteFile(filepath.Join(l.Src, name), note, 0o600))
	}
	check(t, os.WriteFile(filepath.Join(l.Src, "d", temporary(filepath.Join(l.Src, "d"))), []byte("half"), 0o600))
	check(t, os.Symlink("half", filepath.Join(l.Src, temporary(l.Src))))
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	check(t, err)
	testtree.Equal(t, "snapshot", want, testtree.Take(t, l.Path(rep.Snapshot)), testtree.Mtime)
	var unfinished []string
	for _, in := range rep.UnfinishedRestores {
		unfinished = append(unfinished, in.Path)
	}
	slices.Sort(unfinished)
	if rep.Counts.Excluded != 5 || !slices.Equal(unfinished, []string{"", "d"}) {
		t.Errorf("%d left out, unfinished restores in %q", rep.Counts.Excluded, unfinished)
	}
}
