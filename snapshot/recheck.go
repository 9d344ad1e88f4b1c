package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// An unchanged file is linked by its name in the previous snapshot, without a look at its stored file. But somebody may
// have truncated the stored file, changed its mode, or replaced it. So each run looks at a share of the stored files, the
// next run at the next share, until each was looked at after 1 / share runs. If a stored file differs from its entry in
// the catalog, the run stores the source's file anew.
//
// A hash of the inode number gives each stored file a place on a circle. A run looks at the files in one arc of the
// circle. Its report says where the arc ends, and the next run's arc begins there.

// recheck is the arc of one run.
type recheck struct {
	all         bool   // look at each stored file
	from, width uint32 // the arc begins at from
}

// begin sets the arc for a share, from 0 to 1, that begins at from.
func (c *recheck) begin(share float64, from uint32) {
	c.from, c.all = from, share >= 1
	if share > 0 { // rounded up, so that 20 times 5 % covers the circle
		c.width = uint32(min(math.Ceil(share*(1<<32)), math.MaxUint32))
	}
}

// due reports whether this run looks at a stored file.
func (c *recheck) due(ino uint64) bool { return c.all || scatter(ino)-c.from < c.width }

// next returns the end of the arc, where the next run goes on.
func (c *recheck) next() uint32 { return c.from + c.width }

// scatter spreads inode numbers, which come in dense ranges, over the circle (Fibonacci hashing).
func scatter(ino uint64) uint32 { return uint32(ino * 0x9e3779b97f4a7c15 >> 32) }

// beginRecheck sets the arc for a share of the stored files. before is the report of the previous run, at the end of
// whose arc it begins; without that report it may begin anywhere.
func (p *previous) beginRecheck(before *archive.Report, share float64, start time.Time) {
	from := scatter(uint64(start.Unix()))
	if before != nil {
		from = before.RecheckNext
	}
	p.recheck.begin(share, from)
}

// lookAtPrevious reports whether the previous snapshot's stored file under the entry's name may be linked. It looks at the
// file if that is due. In an archive that was copied, it corrects the inode number and the blocks in was.
func (s *storing) lookAtPrevious(at slot, was *index.Entry) bool {
	if s.pool.damaged.has(was) {
		s.isAltered(at, was, "a check has found its content damaged")
		return false
	}
	if !s.previous.recheck.due(was.Stored) && !at.isCarried() {
		return true
	}
	var st fsat.Stat
	if err := fsat.StatAt(at.d.previous(), was.Name, &st); err != nil {
		if s.isLost(at.w, at.d, was.Name, err) {
			at.w.isMissing()
			return false
		}
		return true // an attempt to link it returns the same error
	}
	at.w.rechecked++
	if !s.caps.untouched(was, &st) {
		s.isAltered(at, was, whatAltered(was, &st))
		return false
	}
	if s.caps.restat {
		wrong, known := s.xattrsAltered(at.d, was)
		if wrong != "" {
			s.isAltered(at, was, wrong)
		}
		if wrong != "" || !known {
			return false
		}
		was.Stored, was.Blocks = st.Ino, uint64(st.Blocks)
	}
	return true
}

// whatAltered returns words for the difference of a stored file from its entry.
func whatAltered(e *index.Entry, st *fsat.Stat) string {
	if wrong := tree.Differences(e, st); len(wrong) > 0 {
		return strings.Join(wrong, "; ")
	}
	return fmt.Sprintf("another %s has taken its place", e.Type)
}

// xattrsAltered returns words for an extended attribute of a stored file that differs from its entry, or "". Programs
// that copy often drop attributes. known is false if the previous catalog cannot be read for the attributes, so that
// the file may or may not have them.
func (s *storing) xattrsAltered(d *dir, was *index.Entry) (wrong string, known bool) {
	if was.Flags&index.XattrsCatalogOnly != 0 {
		return "", true
	}
	have, err := fsat.XattrsAt(d.previous(), was.Name)
	if err != nil {
		return "its extended attributes cannot be read: " + err.Error(), true
	}
	want, known := s.previous.xattrs(was.Xattrs)
	if !known {
		return "", false
	}
	return tree.XattrDifference(have, want, s.caps.asRoot), true
}

// isAltered records, once for each entry, that the previous snapshot's stored file differs from its entry there.
func (s *storing) isAltered(at slot, was *index.Entry, found string) {
	if at.w.notLinked&index.WasMissing == 0 {
		at.w.notLinked |= index.WasMissing
		at.w.tally.damaged(s.previous.name, at.path(), found)
	}
}

// isLost records a name of the previous snapshot that is gone or cannot be looked at, and reports whether that is
// damage. A lack of privileges is none, nor is a passing error.
func (s *storing) isLost(w *worker, d *dir, name string, err error) bool {
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
	w.tally.damaged(s.previous.name, d.child(name), found)
	return true
}
