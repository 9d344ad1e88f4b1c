package restore

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
)

// A restore into a new or an empty folder can be interrupted and continued. Until it ends, a note in the target says
// that all folders in the target are this restore's own, so that they get their metadata even if they exist.

// note is the note in the target.
type note struct {
	scope  *scope
	target *target

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

// find finds the note of the same restore in the target, which was then interrupted. replaces is the note of another
// restore that this one's note replaces, if this one replaces all that the other one left (replacing). list has the
// names in the target.
func (n *note) find(list []fsat.DirEntry, replacing bool) (replaces string, err error) {
	text, full := leftover.Note(n.scope.text()), leftover.Note(n.scope.text()+noteMade)
	if n.all, err = leftover.Notes(n.target.fd, list); err != nil {
		return "", fmt.Errorf("read note in target: %w", err)
	}
	for name, other := range n.all {
		switch {
		case n.scope.makes(name): // it is to be in the target
			delete(n.all, name)
		case other == text || other == full:
			n.state, n.name = noteFound, name
			if n.target.origin = targetForeign; other == full {
				n.target.origin = targetOurs
			}
		case replacing:
			replaces = name // useless once every entry is made as in this snapshot
		}
	}
	return replaces, nil
}

// begin writes a note that a restore begins in the target, if everything in it is to be the restore's own and it has
// no such note.
func (n *note) begin(w *worker, fresh bool, list []fsat.DirEntry, replaces string) error {
	if n.resumed() || !fresh && replaces == "" {
		return nil
	}
	text := n.scope.text()
	if n.target.origin != targetForeign {
		text += noteMade
	}
	if err := n.target.step("note"); err != nil {
		return fmt.Errorf("write to target: %w", err)
	}
	if err := n.write(w, leftover.Note(text), list); err != nil {
		return fmt.Errorf("write to target: %w", err)
	}
	if replaces != "" {
		if err := unlink(n.target.fd, replaces); err != nil {
			return fmt.Errorf("%s in target: %w", replaces, err)
		}
	}
	n.state = noteWritten
	return nil
}

// noteMade ends the note if the restore made the target, which then gets its metadata in the end.
const noteMade = "made the folder\n"

// write writes the note, under a name that neither the user nor the snapshot has. The note is durable before it has the
// name, so that its text is whole whatever happens.
func (n *note) write(w *worker, text string, list []fsat.DirEntry) (err error) {
	p := pending{dir: n.target.fd}
	if p.fd, err = fsat.CreateUnnamed(n.target.fd, 0o600); fsat.IsUnnamedRefused(err) {
		p.temp = w.tempIn(n.target.id)
		p.fd, err = fsat.Create(n.target.fd, p.temp, 0o600)
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
	for i := range maxAside {
		name := leftover.NoteName(i)
		taken := slices.ContainsFunc(list, func(e fsat.DirEntry) bool { return e.Name == name })
		if taken && n.all[name] == "" || n.scope.makes(name) {
			continue
		}
		err = p.publish(name)
		if err == nil {
			n.all[name], n.name = text, name
		}
		if !fsat.IsExist(err) {
			return err
		}
	}
	return err
}

// resumed reports whether this restore continues an interrupted one.
func (n *note) resumed() bool { return n.state == noteFound }

// unfinished reports whether the target has the note.
func (n *note) unfinished() bool { return n.state != noteNone && !n.target.dry }

// end removes the note, and resets the target's time to mtime if the whole snapshot was restored. Only modes and
// attributes that would prevent that are set later. A tree to be exchanged keeps its note until the exchange: a tree
// under that name without a note is not ours. If the time cannot be set, there is a note again.
func (n *note) end(w *worker, mtime index.Time) error {
	if swap := n.target.swap; !n.unfinished() || n.stays.Load() || swap != nil && !swap.done {
		return nil
	}
	var err error
	if n.target.swap == nil { // before the note goes: a test may also end the process here
		err = n.target.step("time of the target")
	}
	if err := fsat.Unlink(n.target.fd, n.name); err != nil && !fsat.IsGone(err) {
		return fmt.Errorf("remove %s from target: %w", n.name, err)
	}
	n.state = noteNone
	if !n.scope.whole() {
		return nil
	}
	if err == nil {
		err = fsat.SetMtime(n.target.fd, mtime)
	}
	if err == nil || fsat.IsRefused(err) {
		return nil
	}
	err = fmt.Errorf("set time of target: %w", err)
	if n.target.swap == nil { // so that the same restore sets it
		err = errors.Join(err, n.begin(w, true, nil, ""))
	}
	return err
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
