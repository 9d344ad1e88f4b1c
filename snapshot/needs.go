package snapshot

import (
	"errors"
	"io/fs"
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/lack"
)

// This file is about the room that a snapshot takes: what it stores anew, an inode for each of its folders, and its
// records. A dry run compares that with what is free.

// needs counts what a worker has stored anew, or in a dry run would have.
type needs struct{ bytes, inodes uint64 }

// Estimates. A folder takes a block of its own on ext4 and on file systems of which nothing is known.
const (
	blockSize     = 4 << 10
	entryRecord   = 150 // bytes of the catalog
	contentRecord = 64  // bytes of the content-hash index
	recordBytes   = 64 << 10
	recordInodes  = 16 // of the archive's own folders, and of a run's records
)

// foldersInInodes are the file systems on which a small folder takes no more than its inode.
var foldersInInodes = map[string]bool{"xfs": true, "btrfs": true, "tmpfs": true}

// canShare are the file systems on which a new archive may share blocks with a source there.
var canShare = map[string]bool{"xfs": true, "btrfs": true, "bcachefs": true, "zfs": true}

// countNeeds counts a file that has got an inode of its own.
func (f *file) countNeeds() {
	if f.shared {
		return
	}
	f.w.needs.inodes++
	if f.inCommon > 0 || f.mayShareBlocks() {
		return
	}
	n := f.e.Size
	if f.sparse {
		n = min(n, uint64(f.st.Blocks)*512)
	}
	f.w.needs.bytes += (n + blockSize - 1) &^ (blockSize - 1)
}

// mayShareBlocks reports whether a file that a dry run looks at could be stored as a reflink.
func (f *file) mayShareBlocks() bool {
	if f.pool.archive == nil {
		return f.st.Dev == f.caps.newOn // an archive to be made there
	}
	if !f.caps.Reflink {
		return false
	}
	if f.st.Dev == f.pool.archive.TopStat.Dev || f.was.Type == index.File && f.was.Hash == f.e.Hash {
		return true
	}
	return f.pool.index != nil && f.pool.index.MayHave(&f.e)
}

// foresee compares what a snapshot would take with what is free. What an unfinished run has stored is there already,
// and the space of removed snapshots will be given back.
func (r *run) foresee() error {
	room, err := lack.RoomAt(r.report.Archive)
	if err != nil {
		return err
	}
	sum := r.sumNeeds(&room)
	if left := r.report.Left; left != nil {
		sum.bytes -= min(sum.bytes, left.Bytes)
		sum.inodes -= min(sum.inodes, left.Files)
	}
	if err := r.addRecords(&sum); err != nil {
		return err
	}
	n := &archive.Needs{NeedsBytes: sum.bytes, NeedsInodes: sum.inodes, FreeBytes: room.Bytes}
	if room.Inodes > 0 {
		n.FreeInodes = &room.FreeInodes
	}
	r.report.Needs = n
	if !n.Lacks() || r.archive == nil {
		return nil
	}
	trash, err := r.archive.Trash.Usage(r.ctx)
	n.FreeBytes += trash.Bytes
	if n.FreeInodes != nil {
		*n.FreeInodes += trash.Inodes
	}
	return err
}

// sumNeeds adds up what all workers have counted, and the folders.
func (r *run) sumNeeds(room *lack.Room) (sum needs) {
	for i := range r.workers {
		sum.bytes += r.workers[i].needs.bytes
		sum.inodes += r.workers[i].needs.inodes
	}
	dirs := r.report.Counts.Dirs
	sum.inodes += dirs
	if !foldersInInodes[room.Kind] {
		sum.bytes += dirs * blockSize
	}
	return sum
}

// addRecords adds the catalog, which is about as large as that of the previous snapshot if there is one, and the other
// records of the run.
func (r *run) addRecords(sum *needs) error {
	c := &r.report.Counts
	records := (c.Files + c.Dirs) * entryRecord
	if r.previous.name != "" {
		u, err := r.archive.RecordsOf(r.previous.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && u.Bytes > 0 {
			records = min(u.Bytes, records)
		}
	}
	sum.bytes += records + (c.New+c.Changed)*contentRecord + recordBytes
	sum.inodes += recordInodes
	return nil
}

// placeOfNew returns the number of the file system on which an archive would be made, if files there may share blocks.
func placeOfNew(path string) uint64 {
	room, err := lack.RoomAt(filepath.Dir(path))
	if err != nil || !canShare[room.Kind] {
		return 0
	}
	return room.Dev
}
