package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
)

// A file that is unchanged by its stat data is not read, so a run does not see that the source's disk has lost its
// content. With Options.Rehash each run reads a share of these files, the next run the next share, in turn as in
// recheck.go, until each was read after 1 / share runs.
//
// A file is rotten if its content is not the recorded one, twice, although its stat data are the recorded ones before
// and after, and the stored file still has the recorded content. The snapshot keeps the stored file, its catalog flags
// the entry, and a flagged entry is read in each run until it is sound or differs in its stat data.

// rehashing is the part of a run that reads unchanged files again.
type rehashing struct {
	off   bool // a dry run, or a copy of a snapshot
	turn  recheck
	known map[string]string // of the report before: rotten files, with the snapshots that have their good versions
}

// begin sets the share for a run. before is the report of the previous run, nil if there is none.
func (h *rehashing) begin(before *archive.Report, share float64) {
	var from uint32
	if before != nil {
		from = before.RehashNext
		h.known = make(map[string]string, len(before.Rotten))
		for _, r := range before.Rotten {
			h.known[r.Path] = r.Good
		}
	}
	h.turn.begin(share, from) // a share of nothing ends where it begins
}

// due reports whether this run reads an unchanged file. Names of one inode are due together, or not.
func (h *rehashing) due(was *index.Entry) bool {
	return !h.off && was.Type == index.File && (was.Flags&index.Rotten != 0 || h.turn.due(was.Stored))
}

// good returns the snapshot that has the good version of a rotten file. new reports that the file was not known to be
// rotten.
func (h *rehashing) good(path string, was *index.Entry, previous string) (snapshot string, new bool) {
	if was.Flags&index.Rotten == 0 {
		return previous, true
	}
	if snapshot := h.known[path]; snapshot != "" {
		return snapshot, false
	}
	return previous, false
}

// verdict is what reading an unchanged file again has shown.
type verdict struct {
	stale  bool            // it is not unchanged any more, or the stored file is the damaged one: it has to be stored
	rotten *archive.Rotten // nil: nothing is wrong with it
	isNew  bool
}

// rehash reads an unchanged file again, if that is due. A failure to do so is told, and changes nothing.
func (s *storing) rehash(at slot, was *index.Entry, st *source.Stat) (v verdict, err error) {
	if at.isCarried() || !s.rehashing.due(was) {
		return v, nil
	}
	at.w.rehashed++
	found, changed, err := s.hashTwice(at, was, st)
	switch {
	case s.ctx.Err() != nil:
		return v, &fatalError{context.Cause(s.ctx)}
	case changed || fsat.IsGone(err): // storing it finds out what it is now
		return verdict{stale: true}, nil
	case err != nil && !fsat.IsBadDisk(err):
		at.w.fail(at.path(), fmt.Errorf("not read again, and taken for unchanged: %w", err))
		return v, nil
	case err == nil && found == was.Hash:
		return v, nil
	}
	return s.whichIsRight(at, was, found, err)
}

// hashTwice hashes the content of a file and, if that is not the recorded content, once more from the disk: if only the
// first hash differs, the error is errUnsteady. changed is as of hashAgain.
func (s *storing) hashTwice(at slot, was *index.Entry, st *source.Stat) (found index.Hash, changed bool, err error) {
	found, changed, err = s.hashAgain(at, st, false)
	if err != nil || changed || found == was.Hash {
		return found, changed, err
	}
	second, changed, err := s.hashAgain(at, st, true)
	if err == nil && !changed && second == was.Hash {
		err = errUnsteady
	}
	return found, changed, err
}

// errUnsteady reports a file that gives different contents, although nobody changes it.
var errUnsteady = errors.New("its content differed from the recorded one, and did not when it was read once more: the " +
	"memory, the disk or the cable of the source may be failing")

// whichIsRight decides between the content of the source's file, or the error of reading it, and the stored file.
func (s *storing) whichIsRight(at slot, was *index.Entry, found index.Hash, readErr error) (v verdict, err error) {
	stored, err := s.hashPrevious(at, was)
	if s.ctx.Err() != nil {
		return v, &fatalError{context.Cause(s.ctx)}
	}
	switch {
	case err == nil && stored == was.Hash:
	case err == nil:
		s.isAltered(at, was, "its content is not the recorded one, and that of the source's file is not either")
		return verdict{stale: readErr == nil}, nil
	case fsat.IsGone(err) || fsat.IsBadDisk(err):
		s.isAltered(at, was, "it cannot be read, and the content of the source's file is not the recorded one: "+cause(err).Error())
		return verdict{stale: readErr == nil}, nil
	default:
		at.w.fail(at.path(), fmt.Errorf("its content is not the recorded one, and its stored file cannot be read now: %w", err))
		return v, nil
	}
	r := &archive.Rotten{Path: at.path(), Recorded: hex.EncodeToString(was.Hash[:])}
	if readErr != nil {
		r.Error = cause(readErr).Error()
	} else {
		r.Found = hex.EncodeToString(found[:])
	}
	r.Good, v.isNew = s.rehashing.good(r.Path, was, s.previous.name)
	v.rotten = r
	return v, nil
}

// tellRotten records a rotten file, the entry of which was kept or, if the stored file could not be linked, stored from
// the source.
func (s *storing) tellRotten(at slot, v verdict) {
	if v.rotten == nil {
		return
	}
	e := at.entry()
	if hash := hex.EncodeToString(e.Hash[:]); e.Type == index.File && hash == v.rotten.Recorded {
		v.rotten.Kept = true
		e.Flags |= index.Rotten
	}
	at.w.tally.isRotten(v)
}

// droppable is a source's file that can be read from the disk, and not from memory.
type droppable interface{ DropCache() error }

// hashAgain reads the content of a file and hashes it. changed reports that the file is not the one that st describes,
// before or after.
func (s *storing) hashAgain(at slot, st *source.Stat, fromDisk bool) (hash index.Hash, changed bool, err error) {
	var now source.Stat
	src, err := at.d.handles.src.OpenFile(at.name(), &now)
	if err != nil {
		return hash, false, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if !now.SameVersion(&st.Stat) {
		return hash, true, nil
	}
	if d, ok := src.(droppable); ok && fromDisk {
		if err := d.DropCache(); err != nil {
			return hash, false, err
		}
	}
	_, hash, err = src.CopyTo(s.ctx, &at.w.copier, filecopy.NoFile, st.Size, src.HasHoles(st.Size))
	if err == nil {
		err = src.Stat(&now)
	}
	return hash, err == nil && !now.SameVersion(&st.Stat), err
}

// hashPrevious hashes the stored file of an entry in the previous snapshot.
func (s *storing) hashPrevious(at slot, was *index.Entry) (hash index.Hash, err error) {
	dir := at.d.previous()
	if dir < 0 {
		return hash, fs.ErrNotExist
	}
	fd, err := fsat.OpenFile(dir, was.Name)
	if err != nil {
		return hash, err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	c := filecopy.Copier{Buf: at.w.copier.Buf}
	_, hash, err = c.Copy(s.ctx, filecopy.NoFile, fd, int64(was.Size), fsat.HasHoles(fd, int64(was.Size)))
	return hash, err
}

// pinGood pins the previous snapshot if it has the good version of a file that was found rotten now. An older one was
// pinned when its file was found, and stays as a person has left it.
func (r *run) pinGood() error {
	if !r.tally.rottenIsNew {
		return nil
	}
	if err := r.step("pin"); err != nil {
		return err
	}
	// It names no path: forget-path does not look for paths in labels.
	label := fmt.Sprintf("has good versions of files that are damaged in the source: %d as of %s", r.report.RottenCount, r.report.Snapshot)
	return r.locked.PinUnlessPinned(r.previous.name, label, r.opt.now())
}
