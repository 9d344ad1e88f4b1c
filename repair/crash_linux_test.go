package repair_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/verify"
	"snapcopy/repair"
)

// crashDamage is damage that takes a new inode for several names, a link, a folder made anew, and metadata of a folder.
func (l *lab) crashDamage() {
	l.T.Helper()
	l.each("kept", rot)
	l.each("g1", rot)
	l.each("locked/in", rot)
	l.must(os.RemoveAll(l.Path(l.Order[0], "d/e")))
	l.must(os.Chmod(l.Path(l.Order[2]), 0o700))
	l.must(os.WriteFile(l.Path(l.Order[2], "mine"), nil, 0o600))
}

// recovered lets the next process with the lock finish an interrupted repair.
func (l *lab) recovered() (did []string) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	lock, err := a.Lock()
	l.must(err)
	did, err = lock.Recover(l.T.Context())
	l.must(errors.Join(err, lock.Unlock()))
	return did
}

// Guards: a repair whose process dies at any step leaves names that are either damaged as before or sound; the next command
// with the lock finishes what was begun, and another repair the rest.
func TestRepairCrashes(t *testing.T) {
	for _, at := range stepsOfRepair(t) {
		l := newLab(t)
		l.crashDamage()
		opt := l.found()
		before := make(map[string]bool)
		for _, s := range opt.Suspects {
			before[s.Snapshot+"/"+s.Path] = true
		}
		n := 0
		opt.Fault = func(string) error {
			if n++; n > at {
				return fault.ErrCrash
			}
			return nil
		}
		if _, err := l.tryRepair(opt); !errors.Is(err, fault.ErrCrash) {
			t.Fatalf("step %d: %v", at, err)
		}
		begun := l.noteExists()
		for _, d := range l.Damage(verify.Options{}) {
			if !l.expected(d, before) {
				t.Errorf("step %d: new damage: %s %q: %v", at, d.Snapshot, d.Path, d.Err)
			}
		}
		did := strings.Join(l.recovered(), "; ")
		if begun != strings.Contains(did, "finished a repair") {
			t.Errorf("step %d: begun %v, %q", at, begun, did)
		}
		if !begun {
			l.repair(l.found())
		}
		l.same()
		l.inodes()
	}
}

// stepsOfRepair returns the positions of the first and the middle step of each name, of which there must be some.
func stepsOfRepair(t *testing.T) (at []int) {
	t.Helper()
	l := newLab(t)
	l.crashDamage()
	opt := l.found()
	var names []string
	opt.Fault = func(step string) error {
		names = append(names, step)
		return nil
	}
	l.repair(opt)
	l.same()
	for _, step := range []string{"create", "link of a repaired file", "note of the exchanges", "exchange", "metadata of a folder",
		"sync of the exchanges", "new catalog", "catalog", "content-hash index", "end of the note"} {
		var of []int
		for i, n := range names {
			if n == step {
				of = append(of, i)
			}
		}
		if len(of) == 0 {
			t.Errorf("no step %q", step)
			continue
		}
		at = append(at, of[0])
		if len(of) > 1 {
			at = append(at, of[len(of)/2])
		}
	}
	return at
}

func (l *lab) noteExists() bool {
	_, err := os.Lstat(l.Path(archive.MetaDir, "repair.json"))
	return err == nil
}

// expected reports whether damage is one of before, or that of a folder in which names are being exchanged: its own
// metadata, and what is missing in a folder that has just been made.
func (l *lab) expected(d verify.Damage, before map[string]bool) bool {
	if before[d.Snapshot+"/"+d.Path] || strings.HasPrefix(d.Path, "d/e") && d.Snapshot == l.Order[0] {
		return true
	}
	text := d.Err.Error()
	return l.noteExists() && l.Taken[d.Snapshot][pathOr(d.Path)].Type == "dir" &&
		(strings.Contains(text, "modification time") || strings.Contains(text, "mode is"))
}

func pathOr(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// Guards: a note of exchanges that somebody has written, or that is damaged, reaches nothing outside of the snapshots.
func TestRepairBadNote(t *testing.T) {
	l := newLab(t)
	note := l.Path(archive.MetaDir, "repair.json")
	for _, text := range []string{
		"{", `{}`, `{"exchanges":[]}`,
		`{"exchanges":[{"kind":"take out","snapshot":"` + l.Order[0] + `","path_base64":"Li4vbGF0ZXN0"}]}`,      // ../latest
		`{"exchanges":[{"kind":"take out","snapshot":"..","path_base64":"a2VwdA=="}]}`,                          // kept
		`{"exchanges":[{"kind":"put","snapshot":"` + l.Order[0] + `","path_base64":"a2VwdA==","file":"../1"}]}`, // kept
		`{"exchanges":[{"kind":"take out","snapshot":"` + l.Order[0] + `","path_base64":""}]}`,
	} {
		l.must(os.WriteFile(note, []byte(text), 0o600))
		if did := l.recovered(); strings.Contains(strings.Join(did, " "), "repair") {
			t.Errorf("%s: %q", text, did)
		}
		a := l.Open()
		if found := a.Findings(); len(found) != 1 || !errors.Is(found[0].Err, archive.ErrRepairNote) {
			t.Errorf("%s: findings %+v", text, found)
		}
		l.Close(a)
		l.each("kept", rot)
		l.repair(repair.Options{Suspects: []repair.Suspect{{Snapshot: l.Order[0], Path: "kept"}}})
		l.same()
	}
}

// Guards: where the link limit keeps a new stored file from taking further names, the names of one snapshot stay together.
func TestRepairLinkLimitKeepsGroups(t *testing.T) {
	for full := 1; ; full++ { // the link at which a stored file is full
		l := newLab(t)
		l.keepTimes(true, func() { l.each("g1", rot) })
		opt := l.found()
		links := 0
		opt.Fault = func(step string) error {
			if step != "link of a repaired file" {
				return nil
			}
			if links++; links == full {
				return unix.EMLINK
			}
			return nil
		}
		if rep := l.repair(opt); rep.Unrepaired > 0 {
			t.Errorf("%+v", rep)
		}
		l.same()
		l.Verify()
		if links < full {
			break
		}
	}
}

// Guards: where the link limit keeps a sound stored file, or the new one, from taking further names, the names get several
// inodes, and link groups that are torn apart are recorded as such.
func TestRepairLinkLimit(t *testing.T) {
	for _, damage := range []func(l *lab){
		func(l *lab) { l.each("g1", rot) },
		func(l *lab) { l.must(os.Remove(l.Path(l.Order[1], "d/g2"))) },
	} {
		l := newLab(t)
		l.keepTimes(true, func() { damage(l) })
		opt := l.found()
		links := 0
		opt.Fault = func(step string) error {
			if step != "link of a repaired file" {
				return nil
			}
			if links++; links%2 == 1 {
				return unix.EMLINK
			}
			return nil
		}
		if rep := l.repair(opt); rep.Unrepaired > 0 || links == 0 {
			t.Errorf("%+v, %d links", rep, links)
		}
		l.Verify()
		l.inodes()
		if next := l.Run(); next.AlteredCount > 0 {
			t.Errorf("the next run: %+v", next.Altered)
		}
		l.Verify()
	}
}
