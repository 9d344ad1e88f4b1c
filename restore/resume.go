package restore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// A restore into a new or an empty folder can be interrupted and continued. Until it ends, a note in the target says
// that all folders in the target are this restore's own, so that they get their metadata even if they exist.

// note is the note in the target.
type note struct {
	state noteState
	name  string
	all   map[string]string // the notes of all restores in the target, by name
	stays atomic.Bool       // when the restore ends: some folder still lacks its metadata
}

// noteState is the state of this restore's note.
type noteState uint8

const (
	noteNone    noteState = iota
	noteWritten           // this restore has begun in an empty target
	noteFound             // it continues an interrupted restore
)

// findNote finds the note of the same restore in the target, which was then interrupted. replaces is the note of
// another restore that this one's note replaces. list has the names in the target.
func (r *run) findNote(d *dir, list []fsat.DirEntry) (replaces string, err error) {
	text, full := leftover.Note(r.noteText(d)), leftover.Note(r.noteText(d)+noteMade)
	if r.note.all, err = leftover.Notes(r.target.fd, list); err != nil {
		return "", fmt.Errorf("read note in target: %w", err)
	}
	for name, other := range r.note.all {
		switch {
		case r.inSnapshot(d, name): // it is to be in the target
			delete(r.note.all, name)
		case other == text || other == full:
			r.note.state, r.note.name, r.report.Resumed = noteFound, name, true
			r.comparer.mends = r.opt.Overwrite == OverwriteNever
			if r.target.origin = targetForeign; other == full {
				r.target.origin = targetOurs
			}
		case r.whole && r.opt.Delete && r.opt.Overwrite != OverwriteNever:
			replaces = name // useless once every entry is made as in this snapshot
		}
	}
	return replaces, nil
}

// begin writes a note that a restore begins in the target, if everything in it is to be the restore's own and it has
// no such note.
func (r *run) begin(d *dir, list []fsat.DirEntry, replaces string) error {
	if r.resumed() || !d.own && replaces == "" {
		return nil
	}
	text := r.noteText(d)
	if r.target.origin != targetForeign {
		text += noteMade
	}
	if err := r.target.step("note"); err != nil {
		return fmt.Errorf("write to target: %w", err)
	}
	if err := r.writeNote(d, leftover.Note(text), list); err != nil {
		return fmt.Errorf("write to target: %w", err)
	}
	if replaces != "" {
		if err := unlink(r.target.fd, replaces); err != nil {
			return fmt.Errorf("%s in target: %w", replaces, err)
		}
	}
	r.note.state, r.maker.atOnce = noteWritten, true
	return nil
}

// noteMade ends the note if the restore made the target, which then gets its metadata in the end.
const noteMade = "made the folder\n"

// inSnapshot reports whether this restore itself makes a name of the target.
func (r *run) inSnapshot(d *dir, name string) bool {
	if r.whole {
		_, known, err := r.from.Catalog.Lookup(name)
		return known || err != nil
	}
	return slices.ContainsFunc(d.selected, func(s tree.Selection) bool {
		top, _, _ := strings.Cut(index.Join(s.Folder, s.Entry.Name), "/")
		return top == name && r.opt.InPlace || s.Entry.Name == name && !r.opt.InPlace
	})
}

// writeNote writes the note, under a name that neither the user nor the snapshot has. The note is durable before it
// has the name, so that its text is whole whatever happens.
func (r *run) writeNote(d *dir, text string, list []fsat.DirEntry) (err error) {
	w := &r.workers[0]
	p := pending{dir: r.target.fd}
	if p.fd, err = fsat.CreateUnnamed(r.target.fd, 0o600); fsat.IsUnnamedRefused(err) {
		p.temp = w.temp(d)
		p.fd, err = fsat.Create(r.target.fd, p.temp, 0o600)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if err = fsat.Write(p.fd, []byte(text), 0); err == nil {
		err = fsat.Sync(p.fd)
	}
	if err != nil {
		return err
	}
	for n := range maxAside {
		name := leftover.NoteName(n)
		taken := slices.ContainsFunc(list, func(e fsat.DirEntry) bool { return e.Name == name })
		if taken && r.note.all[name] == "" || r.inSnapshot(d, name) {
			continue
		}
		err = p.publish(w, d, name, false)
		if err == nil {
			r.note.all[name], r.note.name = text, name
		}
		if !fsat.IsExist(err) {
			return err
		}
	}
	return err
}

// noteText identifies a restore by its snapshot and paths.
func (r *run) noteText(d *dir) string {
	root := r.from.Catalog.Root()
	text := fmt.Sprintf("%s\n%x\n", r.report.Snapshot, root.Hash)
	if !r.whole {
		h := sha256.New()
		for i := range d.selected {
			s := &d.selected[i]
			fmt.Fprintf(h, "%q\n", index.Join(s.Folder, s.Entry.Name))
		}
		text += fmt.Sprintf("%t %x\n", r.opt.InPlace, h.Sum(nil))
	}
	return text
}

// resumed reports whether this restore continues an interrupted one.
func (r *run) resumed() bool { return r.note.state == noteFound }

// unfinished reports whether the target has the note.
func (r *run) unfinished() bool { return r.note.state != noteNone && !r.opt.DryRun }

// endNote removes the note. Only modes and attributes that would prevent that are set later. A tree to be exchanged
// keeps its note until the exchange: a tree under that name without a note is not ours.
func (r *run) endNote() error {
	if !r.unfinished() || r.note.stays.Load() || r.target.swap != nil && !r.target.swap.done {
		return nil
	}
	if err := fsat.Unlink(r.target.fd, r.note.name); err != nil && !fsat.IsGone(err) {
		return fmt.Errorf("remove %s from target: %w", r.note.name, err)
	}
	r.note.state = noteNone
	if !r.whole {
		return nil
	}
	if err := fsat.SetMtime(r.target.fd, r.top.entry.Mtime); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set time of target: %w", err)
	}
	return nil
}

// dropPart removes the part of an entry that cannot be finished because the stored file is damaged: the part is
// damaged, too. It keeps a file with the recorded time: that may have been finished before, and taken for a part only
// because it cannot be read.
func dropPart(d *dir, e *index.Entry, part *fsat.Stat) error {
	if e.Mtime == part.Mtime {
		return nil
	}
	var st fsat.Stat
	err := fsat.StatAt(d.dst(), e.Name, &st)
	if fsat.IsGone(err) || err == nil && !st.SameVersion(part) { // by now
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat in target: %w", err)
	}
	return unlink(d.dst(), e.Name)
}
