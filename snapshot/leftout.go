package snapshot

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// This file is about entries that are not in the snapshot, or not completely: each is counted by the worker, listed in
// the tally, and has a cause in the coverage.

// fail records that an entry could not be stored, or not completely.
func (w *worker) fail(path string, err error) {
	w.counts.Failed++
	w.tally.fail(path, cause(err), w.tries)
}

// failKept records that an entry could not be read and is carried along.
func (w *worker) failKept(path string, err error, e *index.Entry) {
	w.counts.Failed++
	w.tally.failKept(path, cause(err), e, w.tries)
}

// notStored handles an entry that could not be looked at or read. It waits, if it may (isLater); otherwise its failure is
// final, as with failed and unreadableDir for a folder.
func (r *run) notStored(w *worker, d *dir, i int, err error) error {
	if err = w.later(d, i, err); isFatal(err) || isLater(err) {
		return err
	}
	if errors.Is(err, errVanished) {
		was := d.entries[i]
		d.entries[i] = index.Entry{}
		d.vanish(i, was)
		return nil
	}
	return r.unread(w, d, i, err)
}

// unread is the end of an entry that exists and cannot be read: it is carried along from the previous snapshot, or else
// the snapshot lacks it.
func (r *run) unread(w *worker, d *dir, i int, cause error) error {
	done, err := r.carry(w, d, i, &cause)
	if done || err != nil {
		return err
	}
	w.coverage.lacks(d, i, unreadable)
	d.entries[i] = index.Entry{}
	w.fail(d.child(d.names[i].Name), cause)
	return nil
}

// failed leaves the folder d, which could not be entered, out of the snapshot. It returns an error of the archive.
func (w *worker) failed(d *dir, err error) error {
	if err = w.later(d.parent, d.slot, err); isFatal(err) || isLater(err) {
		return err
	}
	w.coverage.lacks(d.parent, d.slot, unreadable)
	d.parent.entries[d.slot] = index.Entry{}
	w.fail(d.parent.child(d.name()), err)
	return nil
}

// leftOutElsewhere leaves out a name on another file system that cannot be looked at. Its type is unknown, so no empty
// folder takes its place.
func (w *worker) leftOutElsewhere(d *dir, i int) error {
	w.tally.leftOutForState(d.child(d.names[i].Name), filter.RuleOneFileSystem)
	return w.excluded(d, i, d.names[i].Type, filter.RuleOneFileSystem)
}

// excluded leaves out an entry by a rule.
func (w *worker) excluded(d *dir, i int, kind uint32, rule string) error {
	w.coverage.lacks(d, i, rule)
	d.entries[i] = index.Entry{}
	w.counts.Excluded++
	if w.tally.isTold() {
		w.tally.tell(Item{Path: d.child(d.names[i].Name), Action: Excluded, Type: tree.TypeOf(kind), Rule: rule})
	}
	return nil
}

// leaveOutDir describes a folder, and returns the rule that leaves it out, or "".
func (w *worker) leaveOutDir(d *dir) (rule string, err error) {
	if err := d.handles.src.Stat(&d.source); err != nil {
		return "", fmt.Errorf("stat: %w", err)
	}
	reason, err := d.handles.src.LeaveOut("", &d.source)
	if reason.Rule == source.RuleArchive {
		w.tally.leftOutItself(d.path())
	}
	return reason.Rule, err
}

// leaveOutFile returns the rule that leaves out an entry other than a folder because of its size, content or
// attributes, or "".
func (w *worker) leaveOutFile(d *dir, name string, st *source.Stat) (rule string, err error) {
	reason, err := d.handles.src.LeaveOut(name, st)
	switch {
	case err != nil:
		return "", err
	case reason.OfState:
		w.tally.leftOutForState(d.child(name), reason.Rule)
	case reason.Rule == source.RuleNote:
		w.tally.unfinishedRestore(d.sharedPath(), reason.Rule)
	}
	return reason.Rule, nil
}
