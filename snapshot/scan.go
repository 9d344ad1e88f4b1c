package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"syscall"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/lack"
	"snapcopy/internal/source"
)

// This file is about what is counted in the source: beside the first run of a source, for the progress, and to stop a run
// that cannot fit.
//
// Certain is only what no run can do without. In the first snapshot of an archive, each inode of the source needs one: names
// of one snapshot share an inode only if they do in the source. Content that is there twice may be stored once, but files of
// different sizes have different contents: so the data of files of pairwise different sizes need their room, if the archive's
// file system neither compresses nor shares blocks with the source. A later snapshot needs an inode for each of its folders.
// Files that cannot be opened, metadata and the run's records are left out.

// NoRoomError reports a snapshot that cannot fit. errors.Is finds ENOSPC in it.
type NoRoomError struct {
	Archive       string
	archive.Needs // at least; what the run has stored so far counts as free
}

func (e *NoRoomError) Error() string {
	text := fmt.Sprintf("archive %s: the snapshot cannot fit: it needs at least %d bytes and %d inodes, and %d bytes",
		e.Archive, e.NeedsBytes, e.NeedsInodes, e.FreeBytes)
	if e.FreeInodes != nil {
		text += fmt.Sprintf(" and %d inodes", *e.FreeInodes)
	}
	return text + " are free"
}

func (e *NoRoomError) Unwrap() error { return syscall.ENOSPC }

// foretells are the file systems that say how much they can still take: others compress, or have more room than they say.
var foretells = map[string]bool{"ext4": true, "xfs": true, "tmpfs": true}

// smallData is the size from which the data of a file is summed up: a file system may keep less in an inode.
const smallData = 64 << 10

// maxSizes bounds the number of different sizes that a sum knows. When it is reached, the smaller half of the sizes counts no
// further.
const maxSizes = 1 << 16

// A sum is what a scan has counted.
type sum struct {
	files, bytes uint64 // names, and bytes of regular files, as the progress counts them
	folders      uint64
	inodes       uint64                   // folders, and regular files, of which several names count once
	data         uint64                   // of regular files of pairwise different sizes
	apart        uint64                   // number of the file system with which the archive may share blocks; 0: none
	proves       bool                     // by opening each file: data are without space set aside, and only what may be read counts
	sizes        map[int64]bool           // that are in data
	least        int64                    // sizes below count no further
	linked       map[uint64]*inodeset.Set // by file system: inodes with several names
}

func newSum() *sum {
	return &sum{sizes: make(map[int64]bool), linked: make(map[uint64]*inodeset.Set), least: smallData}
}

// add counts an entry.
func (s *sum) add(e *source.Seen) {
	if e.Type == fsat.Directory {
		s.folders++
		s.inodes++
		return
	}
	s.files++
	if e.Type != fsat.Regular {
		return
	}
	s.bytes += uint64(e.Size)
	if e.Nlink > 1 && !s.isFirst(e) {
		return
	}
	data := min(e.Size, e.Blocks*512)
	counts := e.Size >= s.least && e.Dev != s.apart && !s.sizes[e.Size]
	if s.proves {
		var err error
		if data, err = e.Data(); err != nil {
			return
		}
	}
	s.inodes++
	if counts {
		s.data += uint64(data)
		s.remember(e.Size)
	}
}

// isFirst reports whether no other name of a file was counted.
func (s *sum) isFirst(e *source.Seen) bool {
	set := s.linked[e.Dev]
	if set == nil {
		set = new(inodeset.Set)
		s.linked[e.Dev] = set
	}
	return set.Claim(e.Ino)
}

func (s *sum) remember(size int64) {
	s.sizes[size] = true
	for len(s.sizes) >= maxSizes {
		s.least *= 2
		for size := range s.sizes {
			if size < s.least {
				delete(s.sizes, size)
			}
		}
	}
}

// scan counts the source beside a run.
type scan struct {
	run     *run
	local   *source.Local
	certain bool               // what lacks room by a sum cannot fit
	start   lack.Room          // when the run began
	left    archive.Unfinished // what an unfinished run had stored by then
	free    needs              // at the last look
	stop    context.CancelCauseFunc
	wait    sync.WaitGroup
}

// beginScan counts the source beside the first run of it, and stops the run if it cannot fit. Later runs expect what the
// previous snapshot has. The returned context is that of the walk.
func (r *run) beginScan(ctx context.Context) (context.Context, *scan) {
	local, is := r.source.(*source.Local)
	if !is || r.previous.catalog != nil && !r.previous.other {
		return ctx, nil
	}
	walking, stop := context.WithCancelCause(ctx)
	s := &scan{run: r, local: local, stop: stop, left: r.unfinished.leftNow()}
	if r.isFirst && !r.opt.DryRun {
		room, err := lack.RoomAt(r.report.Archive)
		empty, trashErr := r.archive.Trash.IsEmpty()
		s.start, s.certain = room, err == nil && trashErr == nil && empty && foretells[room.Kind]
	}
	s.wait.Go(func() {
		s.count(walking)
		if r.opt.Counted != nil {
			r.opt.Counted()
		}
	})
	return walking, s
}

// end ends the scan, and returns why it has stopped the run, or err.
func (s *scan) end(ctx context.Context, err error) error {
	if s == nil {
		return err
	}
	s.stop(context.Canceled)
	s.wait.Wait()
	var full *NoRoomError
	if errors.As(context.Cause(ctx), &full) && err != nil {
		return full
	}
	return err
}

// mustFit fails if a later snapshot cannot fit, before anything is written for it. It counts the folders of the source only
// if those of the previous snapshot lack room.
func (r *run) mustFit() error {
	local, is := r.source.(*source.Local)
	if !is || r.opt.DryRun || r.previous.catalog == nil || r.previous.other {
		return nil
	}
	folders := r.previous.catalog.Summary().Counts.Dirs
	if full, err := r.lackingFor(folders); err != nil || full == nil {
		return err
	}
	if left, err := r.archive.UnfinishedRun(archive.SourceID{Host: r.host, Path: r.report.Source}); err != nil || left != nil {
		return err // how many of the folders are there is not known
	}
	if err := r.archive.Trash.Empty(r.ctx, r.opt.Threads); err != nil {
		return err
	}
	full, err := r.lackingForSource(local)
	switch {
	case full != nil:
		return full
	case errors.Is(err, source.ErrTooDeep):
		return nil
	}
	return err
}

// lackingForSource counts the folders of the source, until they lack room, and returns the error of the snapshot then.
func (r *run) lackingForSource(local *source.Local) (full *NoRoomError, err error) {
	folders := uint64(0)
	err = local.Count(r.ctx, func(e *source.Seen) (err error) {
		if e.Type != fsat.Directory {
			return nil
		}
		folders++
		if folders%1000 != 0 {
			return nil
		}
		if full, err = r.lackingFor(folders); err == nil && full != nil {
			err = full
		}
		return err
	})
	if err != nil {
		return full, err
	}
	return r.lackingFor(folders)
}

// lackingFor returns the error of a snapshot that cannot fit because of a number of folders; nil: it may.
func (r *run) lackingFor(folders uint64) (*NoRoomError, error) {
	room, err := lack.RoomAt(r.report.Archive)
	if err != nil || !foretells[room.Kind] {
		return nil, err
	}
	n := &NoRoomError{Archive: r.report.Archive, Needs: archive.Needs{NeedsInodes: folders, FreeBytes: room.Bytes}}
	if room.Inodes > 0 {
		n.FreeInodes = &room.FreeInodes
	}
	var st fsat.Stat
	if err := fsat.StatHandle(r.work, &st); err != nil {
		return nil, err
	}
	if st.Blocks > 0 && !foldersInInodes[room.Kind] { // ext4 may keep a small folder in its inode, too
		n.NeedsBytes = folders * room.Block
	}
	if !n.Lacks() {
		return nil, nil
	}
	return n, nil
}

// count counts the source, for the progress, and a second time, more closely, if it seems not to fit.
func (s *scan) count(ctx context.Context) {
	all := newSum()
	all.apart = s.sharesWith()
	suspicion := errors.New("the source seems not to fit")
	err := s.local.Count(ctx, func(e *source.Seen) error {
		all.add(e)
		return nil
	})
	if err != nil {
		return
	}
	p := s.run.opt.Progress
	p.ExpectAll.Store(all.bytes)
	p.ExpectFiles.Store(all.files)
	if s.lacking(all) == nil {
		return
	}
	proof := newSum()
	proof.apart, proof.proves = all.apart, true
	err = s.local.Count(ctx, func(e *source.Seen) error {
		proof.add(e)
		if s.lacking(proof) != nil {
			return suspicion
		}
		return nil
	})
	if full := s.lacking(proof); full != nil && errors.Is(err, suspicion) {
		s.stop(full)
	}
}

// lacking returns the error of a run that cannot fit; nil: it may.
func (s *scan) lacking(all *sum) *NoRoomError {
	if !s.certain || all.data <= s.free.bytes && all.inodes <= s.free.inodes {
		return nil
	}
	room, err := lack.RoomAt(s.run.report.Archive) // other processes may have made room
	if err != nil {
		return nil
	}
	n := &NoRoomError{Archive: s.run.report.Archive}
	n.NeedsBytes, n.NeedsInodes = all.data, all.inodes
	p := s.run.opt.Progress
	s.free = needs{room.Bytes + p.Read.Load() + s.left.Bytes + roomSlack, math.MaxUint64}
	n.FreeBytes = s.free.bytes
	if room.Inodes > 0 {
		s.free.inodes = max(s.start.FreeInodes, room.FreeInodes+p.Files.Load()) + s.left.Files
		n.FreeInodes = &s.free.inodes
	}
	if !n.Lacks() {
		return nil
	}
	return n
}

// roomSlack is for what a file system counts late.
const roomSlack = 1 << 20

// sharesWith returns the number of the file system with which the archive can share blocks, or 0.
func (s *scan) sharesWith() uint64 {
	if !s.run.caps.Reflink || s.run.archive == nil {
		return 0
	}
	return s.run.archive.TopStat.Dev
}
