package restore

import (
	"path/filepath"
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/tree"
)

// dir is one directory being restored. There are three kinds: the top, which is the target itself; below it the
// directories of the snapshot; and, if only some paths are wanted, between the two one base for each path, which pairs
// the folder of the snapshot that holds the path with the target.
type dir struct {
	tree.Folder
	parent   *dir
	selected []tree.Selection // the top's, if only some paths are wanted
	base     *tree.Selection  // a base's
	entry    index.Entry      // the metadata it gets
	xattrs   []index.Xattr

	state dirState
	// own: only this run makes names in it, so that one which exists is a second form of one made before.
	// plain: what is made in it belongs to us and inherits nothing.
	// spared: nothing in it is deleted, because something is mounted there that the snapshot knows nothing of.
	own, plain, spared bool

	diff    tree.Fields  // it existed: in what it was not as in the snapshot
	seen    seenMetadata // then
	touched atomic.Bool  // names in it have changed, or would without a dry run

	// leftOut is the rule by which a run with the snapshot's filters would not look into it, so that nothing is deleted.
	leftOut string

	searched atomic.Bool // for what a killed restore has left
	open     openable

	// had has the names that it had when it was entered, if two that differ may be the same there; otherwise it is nil.
	had map[string]bool

	mu     sync.Mutex // of the cursor
	rec    *index.Record
	cursor index.Cursor
}

// dirState says what a directory was when it was entered, and with that what becomes of its metadata.
type dirState uint8

const (
	dirPassage  dirState = iota // it only leads to what is restored, and keeps the metadata it has
	dirMade                     // it was made by this run, and gets its metadata when everything in it is there
	dirReopened                 // it was made by the restore that this one goes on with: the same
	dirUpdated                  // it existed, and gets its metadata if that is not as in the snapshot
	dirKept                     // it existed, and keeps its metadata
	dirAbsent                   // a dry run has found that it does not exist
	dirDone                     // it has got the snapshot's metadata
)

// unfinished reports whether the directory gets the snapshot's metadata, whatever it has.
func (s dirState) unfinished() bool { return s == dirMade || s == dirReopened }

// existing gives the state of a directory that was there.
func (r *run) existing() dirState {
	switch {
	case r.resumed():
		return dirReopened
	case r.opt.Overwrite != OverwriteNever:
		return dirUpdated
	}
	return dirKept
}

// folded reports whether a name that the directory has is not that name, but another one which the file system takes for it.
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

// at gives one entry.
func (d *dir) at(item int) index.Entry {
	if d.base != nil {
		return d.base.Entry
	}
	e, _ := d.rec.At(item)
	return e
}

// take decodes the next entries, n in all the calls together, and returns how many there are in this one.
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

// above is where the entry of d is, for what is said of it; the top stands for itself.
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

// src is the handle of the directory in the snapshot; fsat.NoDir: there is none, and Lost says why.
func (d *dir) src() int { return d.FD(inSnapshot) }

// dst is the handle of the directory in the target; fsat.NoDir: a dry run has found none.
func (d *dir) dst() int { return d.FD(inTarget) }

// targetPath gives the whole path of a directory of the target.
func (r *run) targetPath(d *dir) string { return filepath.Join(r.report.Target, d.PathIn(inTarget)) }

// openAgain opens the directory in the target for a caller who may come after it was left, and who closes it.
func openAgain(d *dir) (int, error) { return d.Again(inTarget) }
