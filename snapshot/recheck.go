package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// An unchanged file is linked by the name it has in the previous snapshot, without a look at what has that name by now:
// somebody may have cut it short there, changed its mode, or put something else in its place. Each run looks at a share
// of them, in turn, so that after 1 / share runs each was looked at. What is not as recorded is stored anew.
//
// The stored files are in a circle by a hash of their inode numbers. A run looks at those in one arc of it, and the next
// run goes on where that ended: the run's report has the place.

// recheck is the arc of one run.
type recheck struct {
	all         bool   // look at each stored file
	from, width uint32 // the arc begins at from
}

// begin finds the arc for a share, from 0 to 1, that begins at from.
func (c *recheck) begin(share float64, from uint32) {
	c.from, c.all = from, share >= 1
	if share > 0 { // rounded up, so that 20 times 5 % is no less than the circle
		c.width = uint32(min(math.Ceil(share*(1<<32)), math.MaxUint32))
	}
}

// due reports whether this run looks at a stored file.
func (c *recheck) due(ino uint64) bool { return c.all || scatter(ino)-c.from < c.width }

// next is where the next run goes on.
func (c *recheck) next() uint32 { return c.from + c.width }

// scatter spreads inode numbers, which come in dense ranges, over the circle (Fibonacci hashing).
func scatter(ino uint64) uint32 { return uint32(ino * 0x9e3779b97f4a7c15 >> 32) }

// beginRecheck finds out where the previous run ended. Its report is no more than a hint; without it, some place will do.
func (r *run) beginRecheck() {
	from := scatter(uint64(r.report.Start.Unix()))
	before, err := r.archive.ReadReport(r.prevName)
	if err == nil {
		from = before.RecheckNext
	}
	r.recheck.begin(r.opt.Recheck, from)
	r.recheck.all = r.recheck.all || r.restat
	r.report.RecheckNext = r.recheck.next()
	// What could not be given to a stored file then and can be now is worth storing it anew.
	r.gainedRights = r.caps.Owners && r.caps.Modes && (err != nil || !before.SetsOwners)
}

// lookAtPrevious looks at the stored file that the previous snapshot has under the entry's name, if its turn has come, and
// reports whether it may be linked. In an archive that was copied, it corrects the inode number and the blocks in was.
func (r *run) lookAtPrevious(w *worker, d *dir, was *index.Entry) bool {
	if !r.recheck.due(was.Stored) {
		return true
	}
	var st fsat.Stat
	if err := fsat.StatAt(d.handles.prev, was.Name, &st); err != nil {
		if r.isLost(d, was.Name, err) {
			w.isMissing()
			return false
		}
		return true // linking will say more
	}
	w.rechecked++
	if !r.untouched(was, &st) {
		r.isAltered(w, d, was, r.whatAltered(was, &st))
		return false
	}
	if r.restat {
		if wrong := r.xattrsAltered(d, was); wrong != "" {
			r.isAltered(w, d, was, wrong)
			return false
		}
		was.Stored, was.Blocks = st.Ino, uint64(st.Blocks)
	}
	return true
}

// untouched reports whether a stored file is, as far as stat tells, as its entry says.
func (r *run) untouched(e *index.Entry, st *fsat.Stat) bool {
	differ := tree.DiffStored(e, st)
	if r.restat { // each stored file of a copied archive has another number
		differ &^= tree.Stored
	}
	return differ == 0
}

// whatAltered puts into words why a stored file is not untouched.
func (r *run) whatAltered(e *index.Entry, st *fsat.Stat) string {
	if wrong := tree.Differences(e, st); len(wrong) > 0 {
		return strings.Join(wrong, "; ")
	}
	return fmt.Sprintf("another %s has taken its place", e.Type)
}

// xattrsAltered says which extended attribute of a stored file is not as recorded; "": all are. Programs that copy often
// leave them behind.
func (r *run) xattrsAltered(d *dir, was *index.Entry) string {
	if was.Flags&index.XattrsNotHeld != 0 {
		return ""
	}
	have, err := fsat.XattrsAt(d.handles.prev, was.Name)
	if err != nil {
		return "its extended attributes cannot be read: " + err.Error()
	}
	var want []index.Xattr
	if was.Xattrs != 0 {
		if want, err = r.previous.Xattrs(was.Xattrs); err != nil {
			return "" // what cannot be compared is stored anew in any case: see keepXattrs
		}
	}
	return tree.XattrDifference(have, want, r.euid == 0)
}

// damaged notes an entry of a published snapshot that is not as recorded.
func (r *run) damaged(snapshot, path, found string) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.alteredCount++
	if len(r.tally.altered) < maxListed {
		r.tally.altered = append(r.tally.altered, archive.Altered{Snapshot: snapshot, Path: path, Found: found})
	}
}

// isAltered notes, once for each entry, that the stored file of the previous snapshot is not as recorded.
func (r *run) isAltered(w *worker, d *dir, was *index.Entry, found string) {
	if w.notLinked&index.WasMissing == 0 {
		w.notLinked |= index.WasMissing
		r.damaged(r.prevName, d.child(was.Name), found)
	}
}

// isLost notes a name of the previous snapshot that is gone or cannot be looked at, and reports whether that is damage.
// Lack of privileges is none, nor is an error that passes.
func (r *run) isLost(d *dir, name string, err error) bool {
	var found string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found = "it is gone"
	case fsat.IsOtherType(err):
		found = "something else has taken its place"
	case fsat.IsBadDisk(err):
		found = "it cannot be looked at: " + err.Error()
	default:
		return false
	}
	r.damaged(r.prevName, d.child(name), found)
	return true
}

// sortedAltered gives what was found, by path.
func (t *tally) sortedAltered() []archive.Altered {
	slices.SortFunc(t.altered, func(a, b archive.Altered) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Snapshot, b.Snapshot))
	})
	return t.altered
}
