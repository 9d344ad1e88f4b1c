package restore

import (
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/lookup"
	"snapcopy/internal/tree"
)

// dir is a folder being restored. There are three kinds: the top, which is the target itself; below it the folders of
// the snapshot; and, if only some paths are selected, one base for each path between the two, which pairs the folder
// of the snapshot that contains the path with a folder of the target.
type dir struct {
	tree.Folder
	parent   *dir
	selected []lookup.Selected // of the top, if only some paths are selected
	base     *lookup.Selected  // a base's
	entry    index.Entry       // the metadata it gets
	xattrs   []index.Xattr

	state dirState
	// own: only this run makes names in it, so that an existing name is another spelling of an earlier one. plain:
	// entries made in it belong to us and inherit nothing. spared: nothing in it is deleted, because a file system is
	// mounted there of which the snapshot knows nothing.
	own, plain, spared bool

	diff    tree.Fields  // differences of an existing folder from the snapshot
	seen    seenMetadata // then
	touched atomic.Bool  // names in it have changed, or would without a dry run

	// leftOut is the rule by which a run with the snapshot's filters would not look into it, so that nothing is
	// deleted.
	leftOut string

	searched atomic.Bool // searched for leftovers of a killed restore
	open     openable

	// had has the names in it when it was entered, if the file system may treat two different names as equal;
	// otherwise it is nil.
	had map[string]bool

	// ending is held while the folder gets its metadata, and while a name in it is moved by somebody who came from
	// another one: with its metadata it may be closed to us.
	ending sync.Mutex

	mu     sync.Mutex // of the cursor
	rec    *index.Record
	cursor index.Cursor
}

// dirState is the state of a folder when it was entered, which decides what happens to its metadata.
type dirState uint8

const (
	dirPassage  dirState = iota // it only leads to paths to restore, and keeps its metadata
	dirMade                     // this run made it, and sets its metadata when all its entries are there
	dirReopened                 // the restore that this one continues made it: the same
	dirUpdated                  // it existed, and gets the snapshot's metadata if they differ
	dirKept                     // it existed, and keeps its metadata
	dirAbsent                   // a dry run has found that it does not exist
	dirDone                     // it has got the snapshot's metadata
)

// unfinished reports whether the folder gets the snapshot's metadata in any case.
func (s dirState) unfinished() bool { return s == dirMade || s == dirReopened }

// existing returns the state of a folder that existed.
func (r *run) existing() dirState {
	switch {
	case r.note.resumed():
		return dirReopened
	case r.opt.Overwrite != OverwriteNever:
		return dirUpdated
	}
	return dirKept
}

// folded reports whether an existing name is really another name, which the file system treats as equal.
func (d *dir) folded(name string) bool { return d.had != nil && !d.had[name] }

// items is the number of entries to restore.
func (d *dir) items() int {
	switch {
	case d.selected != nil:
		return len(d.selected)
	case d.base != nil:
		return 1
	}
	return d.rec.Len()
}

// at returns one entry.
func (d *dir) at(item int) index.Entry {
	if d.base != nil {
		return d.base.Entry
	}
	e, _ := d.rec.At(item)
	return e
}

// take decodes the next entries, n in all the calls together, and returns their number in this call.
func (d *dir) take(w *worker, n int) int {
	if d.base != nil {
		w.entries[0], w.pos[0] = d.base.Entry, 0
		return 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range min(n, chunk) {
		if !d.cursor.Next(&w.entries[i]) {
			return i
		}
		w.pos[i] = d.cursor.Pos()
	}
	return min(n, chunk)
}

// above returns the folder whose entry d is, for messages; the top stands for itself.
func (d *dir) above() *dir {
	if d.parent == nil {
		return d
	}
	return d.parent
}

// The trees of the walk.
const (
	inSnapshot = iota
	inTarget
)

// src returns the handle of the folder in the snapshot; fsat.NoDir: there is none, and Lost has the error.
func (d *dir) src() int { return d.FD(inSnapshot) }

// dst returns the handle of the folder in the target; fsat.NoDir: a dry run has found none.
func (d *dir) dst() int { return d.FD(inTarget) }

// openAgain opens the folder in the target. It works after Leave, too, and the caller closes the handle.
func openAgain(d *dir) (int, error) { return d.Again(inTarget) }
