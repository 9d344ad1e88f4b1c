package repair_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/repair"
)

// Guards: a name that did not get its new inode, as someone replaced or removed that before it was put in place, is told as
// not repaired; its damage stays noted, its catalog stays right, and another repair mends it.
func TestRepairMissed(t *testing.T) {
	for how, meddle := range map[string]func(path string) error{
		"replaced": func(path string) error { // while the inode exists, as its number may be taken again
			return errors.Join(os.WriteFile(path+"0", []byte("mine"), 0o600), os.Rename(path+"0", path))
		},
		"removed": os.Remove,
	} {
		l := newLab(t)
		l.each("kept", rot)
		opt, step := l.found(), ""
		opt.Fault = func(at string) error {
			if at != "note of the exchanges" || step != "" {
				return nil
			}
			step = at
			files, err := os.ReadDir(l.Path(archive.MetaDir, archive.RepairDir, archive.RepairTree))
			l.must(err)
			for _, f := range files {
				l.must(meddle(l.Path(archive.MetaDir, archive.RepairDir, archive.RepairTree, f.Name())))
			}
			return nil
		}
		rep := l.repair(opt)
		if rep.Repaired != 0 || rep.Unrepaired != uint64(len(opt.Suspects)) || step == "" {
			t.Errorf("%s: %+v", how, rep)
		}
		for _, item := range l.items {
			if !errors.Is(item.Err, repair.ErrMissed) || item.Origin != nil {
				t.Errorf("%s: %+v", how, item)
			}
		}
		l.repair(l.found())
		l.same()
		l.inodes()
	}
}

// Guards: no note of a repair has more names than a batch, of whatever kind they are.
func TestRepairBatchesOfFolders(t *testing.T) {
	before := repair.SetMaxBatch(2)
	defer repair.SetMaxBatch(before)
	l := newLab(t)
	for _, name := range l.Order {
		l.must(os.Chmod(l.Path(name, "d"), 0o700))
		l.must(os.Chmod(l.Path(name, "d/e/deep"), 0o700))
		l.must(os.WriteFile(l.Path(name, "mine"), nil, 0o600))
	}
	opt, notes := l.found(), 0
	opt.Fault = func(step string) error {
		if step == "exchange" {
			a := l.Open()
			defer l.Close(a)
			if n := a.Repairing(); n > 2 {
				t.Errorf("a note of %d names", n)
			}
		}
		if strings.HasPrefix(step, "note of the") {
			notes++
		}
		return nil
	}
	l.repair(opt)
	if notes < 4 {
		t.Errorf("%d notes", notes)
	}
	l.same()
}
