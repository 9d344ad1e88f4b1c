package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/internal/leftover"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// ownNames are a user's files under the names of this program.
const ownNames = `dir d 0755 mtime=5
	file f 0644 "f"
	file d/f 0644 "f"
	file .snapcopy-restore-unfinished 0600 mtime=1
	file .snapcopy-restore-unfinished-2 0600 "\x00\x00" mtime=1
	file d/.snapcopy-restore-unfinished 0640 "mine" mtime=1
	file d/.snapcopy-restore-0123456789abcdef-1 0600 "mine" mtime=1
	dir .d.snapcopy-new 0700 mtime=5
	file .d.snapcopy-new/mine 0600 "mine"
	dir .d.snapcopy-instant 0700 mtime=5
	file .d.snapcopy-instant/lock 0600 "mine"
	dir .d.snapcopy-instant/upper 0700 mtime=5
	set .d.snapcopy-new mtime=5
	set .d.snapcopy-instant mtime=5
	set d mtime=5
	set . mtime=5`

// Guards: a user's files with the names that a restore uses for itself are restored, survive a restore into the folder
// they are in, and do not keep one that was cut short from going on.
func TestUsersFilesWithOwnNames(t *testing.T) {
	source := testarchive.BuiltTree(t, ownNames)
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	a.wantMirror(source, to, Options{})
	for _, opt := range []Options{{}, mirror, {Overwrite: OverwriteAlways, Delete: true, InPlace: true}} {
		testtree.Build(t, to, "write d/f other")
		rep := a.restore(nil, to, opt)
		if opt.Overwrite != OverwriteNever && rep.FailedCount > 0 {
			t.Errorf("%+v: failed %v", opt, rep.Failed)
		}
	}
	a.wantMirror(source, to, mirror)

	to = filepath.Join(testarchive.TempDir(t), "paths")
	rep := a.restore([]string{".snapcopy-restore-unfinished", "d"}, to, Options{})
	if rep.FailedCount > 0 {
		t.Error(rep.Failed)
	}

	for n := int64(3); ; n += 5 { // killed at many steps, and gone on with
		to := filepath.Join(testarchive.TempDir(t), "to")
		o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: to, KillAt: n}
		if killed, _ := o.run(t); !killed {
			break
		}
		a.wantMirror(source, to, Options{})
	}
}

// Guards: an exchange, and what keeps a folder aside, never moves what is mounted in the folder to where one would remove
// it.
func TestMountsAreNotMovedAlong(t *testing.T) {
	a := take(t, testarchive.BuiltTree(t, "file d 0644 x\nset . mtime=3"))
	folder := testarchive.BuiltTree(t, "dir site 0755\ndir site/d 0755\ndir \"site/d/mo unt\" 0755")
	at := filepath.Join(folder, "site/d/mo unt")
	testtree.Tmpfs(t, at, "size=1m")
	check(t, os.WriteFile(filepath.Join(at, "precious"), nil, 0o600))
	to := filepath.Join(folder, "site")
	if _, err := Swap(context.Background(), a.OpenSnapshot, to, Options{}, swapTime); !errors.Is(err, ErrMountsBelow) || !strings.HasSuffix(err.Error(), fmt.Sprintf("with it: %q", at)) {
		t.Errorf("swap: %v", err)
	}
	if got := names(t, folder); len(got) != 1 {
		t.Errorf("%q", got)
	}
	rep := a.restore(nil, to, Options{Overwrite: OverwriteChanged, BackupSuffix: ".old"})
	wantFailed(t, rep, "d")
	if len(rep.Failed) == 1 && !errors.Is(rep.Failed[0].Err, ErrMountsBelow) {
		t.Error(rep.Failed[0].Err)
	}
	if _, err := os.Stat(filepath.Join(at, "precious")); err != nil {
		t.Error(err)
	}
}

// Guards: a note is known by its whole text, a temporary name by the folder it was made for.
func TestLeftoverIsProved(t *testing.T) {
	note := leftover.Note("a\nb\n")
	if !leftover.IsNote(note) || leftover.IsNote(note[:len(note)-1]) || leftover.IsNote(note+"\n") || leftover.IsNote("") {
		t.Error("note")
	}
	name := leftover.Temporary(5, 6)
	if n, ok := leftover.ParseTemporary(name, 6); n != 5 || !ok {
		t.Error(n, ok)
	}
	if _, ok := leftover.ParseTemporary(name, 7); ok {
		t.Error("of another folder")
	}
	for n := range 12 {
		if !leftover.IsNoteName(leftover.NoteName(n)) || !leftover.IsSwapName(leftover.SwapName("x", n)) {
			t.Error(n)
		}
	}
	for _, name := range []string{".snapcopy-restore-unfinished-1", ".snapcopy-restore-unfinished-02", ".snapcopy-restore-unfinishedx"} {
		if leftover.IsNoteName(name) {
			t.Error(name)
		}
	}
}
