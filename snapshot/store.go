package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lack"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// maxTries is the number of times that a file which changes while it is read is read, before the last read is stored.
const maxTries = 3

// errDenied reports a name that can be looked at, and that seems to be gone or a link when it is opened.
var errDenied = errors.New("its folder lists it, but it cannot be opened")

// errRetype reports a name that had another type by the time it was opened.
var errRetype = errors.New("changed its type while it was read")

// errIsDir reports a name that is a folder by now, to be entered.
var errIsDir = errors.New("became a folder while it was read")

// store puts a new or changed entry into the snapshot.
func (s *storing) store(at slot, st *source.Stat) error {
	defer at.w.forgetOldLooks()
	if st.Nlink > 1 {
		return s.storeLinked(at, st)
	}
	if err := s.storeAlone(at, st); err != nil {
		return err
	}
	at.w.markApart(at.entry()) // it may have got a second name while it was read
	return nil
}

// storeAlone stores an entry of whatever type it has by now, without regard to other names of its inode. It returns
// errIsDir for a folder. After an error, the previous entry is in its place.
func (s *storing) storeAlone(at slot, st *source.Stat) (err error) {
	was := *at.entry()
	defer func() {
		if err != nil {
			*at.entry() = was
		}
	}()
	for range maxTries {
		var err error
		switch st.Type {
		case fsat.Regular:
			var taken bool
			if taken, err = s.takeKept(at, st, &was); !taken && err == nil {
				err = s.putFile(at, st, &was)
			}
		case fsat.Directory:
			return errIsDir
		default:
			err = s.putSpecial(at, st, &was)
		}
		if err == nil {
			return nil
		}
		if isFatal(err) || !errors.Is(err, errRetype) && !fsat.IsNoDir(err) {
			return err
		}
		before := *st
		if err := at.look(st); err != nil {
			return err
		}
		if !errors.Is(err, errRetype) && st.SameVersion(&before.Stat) { // unchanged, and yet it cannot be opened
			return fmt.Errorf("%w: %w", errDenied, err)
		}
	}
	return errRetype
}

// file is a regular file being stored.
type file struct {
	*storing
	slot
	src   source.File
	st    source.Stat  // of src, before its content is read
	e     index.Entry  // becomes the new entry
	was   *index.Entry // the previous entry of that name; Type 0: none
	small []byte       // the content, if it fits the buffer
	set   []fsat.Xattr // of src

	sparse bool // stat data, or the file system, report holes
	version
}

// version is the outcome of storing one version of a file.
type version struct {
	data      int64  // bytes of content that are not holes
	stored    uint64 // bytes of content that are new in the archive
	allocated uint64 // bytes of blocks that its new inode got
	inCommon  uint64 // bytes of content that it shares with a stored file
	shared    bool   // it is a further name of a stored file
	action    Action
	from      string // Moved: where it was found
	movedFrom uint64 // Moved: the stored file
	fresh     bool   // to be added to the index
	failed    error  // metadata that could not be read, though the content was

	marks     *filecopy.Marks // of the copy; nil: it is too small to be gone on with
	partial   bool            // the copy goes on where an earlier one has ended
	inJournal bool            // the copy made so far is recorded, and stays if the run ends
	spaceLost bool            // the copy lacks space that the file has beyond its content
}

// putFile stores a regular file.
func (s *storing) putFile(at slot, st *source.Stat, was *index.Entry) (err error) {
	f := file{storing: s, slot: at, was: was}
	if f.src, err = at.source().OpenFile(at.name(), &f.st); err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			err = errors.Join(err, f.src.Close())
		}
	}()
	if f.st.Type != fsat.Regular {
		return errRetype
	}
	if err := f.tryVersions(); err != nil {
		return err
	}
	open = false
	if err := f.src.Close(); err != nil { // the file is in the mirror
		f.e.Flags |= index.Racy
		f.failed = errors.Join(f.failed, fmt.Errorf("close: %w", err))
	}
	if f.failed != nil {
		at.w.fail(at.path(), f.failed)
	}
	if err := f.record(); err != nil {
		return err
	}
	if f.movedFrom != 0 {
		s.pool.moved.Claim(f.movedFrom)
	}
	if s.recent != nil && !f.shared && f.e.Size >= worthSharing {
		s.recent.add(at.d, &f.e)
	}
	f.countNeeds()
	*st = f.st
	*at.entry(), at.d.fresh[at.i] = f.e, f.fresh
	at.w.countEntry(at.d, at.i, f.action, f.from)
	return nil
}

// tryVersions reads and stores the file once, and again if it changes meanwhile.
func (f *file) tryVersions() error {
	for try := 1; ; try++ {
		if err := f.tryVersion(); err != nil {
			return err
		}
		var after source.Stat
		if err := f.src.Stat(&after); err != nil {
			return errors.Join(fmt.Errorf("stat: %w", err), f.takeBack())
		}
		if after.SameVersion(&f.st.Stat) {
			return nil
		}
		if try == maxTries {
			f.e.Flags |= index.Torn | index.Racy
			f.failed = errors.Join(f.failed, errChanging)
			return nil
		}
		if err := f.takeBack(); err != nil {
			return err
		}
		f.st = after
	}
}

var errChanging = errors.New("it kept changing while it was read; the content read last is stored")

// worthSharing is the size from which sharing the blocks of a file of this run saves more than it costs: to be shared,
// they mostly have to be written to the disk first.
const worthSharing = 4 << 10

// tookUp counts new content of the archive.
func (f *file) tookUp(size uint64) {
	f.stored = size
	f.w.counts.BytesStored += size
}

// shares counts content that the new file has in common with a stored one.
func (f *file) shares(size uint64) {
	f.inCommon = size
	f.w.counts.BytesLinked += size
}

// takeBack removes the name just made, because the source changed meanwhile.
func (f *file) takeBack() error {
	f.w.counts.BytesStored -= f.stored
	f.w.counts.BytesLinked -= f.inCommon
	f.w.counts.BytesAllocated -= f.allocated
	if f.shared {
		f.release(f.e.Stored)
	}
	return notMirrored(f.path(), f.d.handles.dst.Remove(f.name()))
}

// tryVersion stores the present version of the file: as a link to a stored file with the same content and metadata, as
// a reflink of a file with the same content, or as a copy. The source may have changed meanwhile: see takeBack.
func (f *file) tryVersion() error {
	f.e = index.Entry{Name: f.name()}
	describe(&f.e, &f.st, f.rec.device(f.d, &f.st))
	f.small, f.version = nil, version{fresh: true}
	f.sparse = f.src.HasHoles(f.st.Size)
	m := f.src.Metadata()
	f.e.Attrs, f.set = tree.KnownAttrs(m.Attrs), m.Xattrs
	if f.failed = f.later(m.Err); f.failed != nil {
		if isLater(f.failed) {
			return f.failed
		}
		f.e.Flags |= index.Racy // the next run tries again
	}
	if err := f.rec.addXattrs(&f.e, f.set); err != nil {
		return err
	}
	known, err := f.hashFirst()
	if err != nil {
		return err
	}
	if known {
		linked, err := f.linkStored()
		if err != nil || linked {
			return err
		}
	}
	return f.makeNew(known)
}

// hashFirst finds the content's hash before the content is written, if that may save writing it. It reads a small file
// into memory. It hashes a large file only if that looks stored, because a copy that is needed after all costs a second
// read. For a file of a snapshot, the catalog has the hash.
func (f *file) hashFirst() (known bool, err error) {
	if was := f.st.Known; was != nil {
		f.e.Hash, f.data = was.Hash, int64(was.Size)
		f.e.Flags |= was.Flags & index.ZeroHash
		return true, nil
	}
	if f.st.Size < int64(len(f.w.copier.Buf)) && !f.sparse {
		n, err := f.src.Read(f.w.copier.Buf, f.st.Size)
		if err != nil {
			return false, fmt.Errorf("read: %w", err)
		}
		if n < len(f.w.copier.Buf) {
			f.small = f.w.copier.Buf[:n]
			f.e.Size, f.e.Hash, f.data = uint64(n), blake3.Sum256(f.small), int64(n)
			f.w.copier.Tick(n)
			return true, nil
		}
	}
	if !f.looksStored() {
		return false, nil
	}
	return true, f.hashContent()
}

// looksStored reports whether the content of a file too large for memory may be in the archive, in a form that saves
// writing it. A wrong "no" costs no second read: shareLate deduplicates the finished copy.
func (f *file) looksStored() bool {
	if tree.Diff(f.was, &f.e)&(tree.Type|tree.Size|tree.Mtime) == 0 &&
		(f.caps.Reflink || f.caps.standsFor(f.was, &f.e)) {
		return true
	}
	return f.pool.index != nil && f.pool.index.MayHave(&f.e)
}

func (f *file) hashContent() error {
	n, hash, err := f.src.CopyTo(f.ctx, &f.w.copier, filecopy.NoFile, f.st.Size, f.sparse)
	if err != nil {
		return f.readFailed(err)
	}
	return f.content(n, hash)
}

// errSuffered reports a stored file that differs from its catalog.
var errSuffered = errors.New("its stored file is damaged: the content differs from the recorded one")

// content records size and hash of the content as read. If the hash is known from a catalog, both must be the recorded
// ones.
func (f *file) content(size int64, hash index.Hash) error {
	if was := f.st.Known; was != nil && (was.Hash != hash || was.Size != uint64(size)) {
		return errSuffered
	}
	f.e.Size, f.e.Hash, f.data = uint64(size), hash, f.w.copier.Data
	f.e.Flags &^= index.ZeroHash
	if f.w.copier.ZeroHash {
		f.e.Flags |= index.ZeroHash
	}
	return nil
}

// linkStored links the file to a stored one with the same content and metadata that no other file of this snapshot
// uses: first the file's own in the previous snapshot, then any.
func (f *file) linkStored() (bool, error) {
	if f.was.Type == index.File && f.was.Hash == f.e.Hash && f.caps.standsFor(f.was, &f.e) && f.previousStandsFor() {
		linked, err := f.linkPrevious(f.slot, f.was, &f.st)
		if err != nil {
			return false, err
		}
		if linked {
			f.action = Unchanged
			if f.was.Attrs != f.e.Attrs { // file attributes are in the catalog alone
				f.action = MetadataChanged
			}
			return true, f.becomes(f.was)
		}
	}
	found, from, err := f.linkByHash()
	if err != nil || found == nil {
		return false, err
	}
	f.action, f.from = Moved, from
	same := tree.Diff(f.was, &f.e)&(tree.StandsFor|tree.Content) == 0
	if same || from == f.path() { // the file was there before, if only not in the previous snapshot
		f.action, f.from = Unchanged, ""
	} else {
		f.movedFrom = found.Stored
	}
	return true, f.becomes(found)
}

// previousStandsFor looks at the previous snapshot's file of the same name, and reports whether it can serve as f.
func (f *file) previousStandsFor() bool {
	if f.w.notLinked&index.WasMissing != 0 {
		return false
	}
	var st fsat.Stat
	if f.d.previous() < 0 || fsat.StatAt(f.d.previous(), f.name(), &st) != nil {
		return true // linking will say that it is gone
	}
	if !f.caps.untouched(f.was, &st) {
		f.isAltered(f.slot, f.was, whatAltered(f.was, &st))
		return false
	}
	return f.sameHoles(f.d.previous(), f.name(), &st)
}

// becomes records the stored file to which the entry was linked.
func (f *file) becomes(stored *index.Entry) (err error) {
	f.shared, f.inCommon = true, f.e.Size // linkMade has counted it
	f.e.Flags |= stored.Flags & ofStored
	return f.nameOf(f.d, &f.e, stored)
}

// makeNew stores the file as a new inode.
func (f *file) makeNew(known bool) (err error) {
	f.action = New
	if f.was.Type != 0 {
		f.action = f.howChanged(known)
	}
	dst, err := f.create(known)
	if err != nil {
		return notMirrored(f.path(), err)
	}
	if dst == nil { // a dry run
		f.tookUp(f.e.Size)
		return nil
	}
	defer func() {
		if closeErr := dst.Close(); closeErr != nil {
			err = errors.Join(err, notMirrored(f.path(), closeErr))
		}
	}()
	if err := f.write(dst, known); err != nil {
		if f.inJournal && isFatal(err) { // the next run goes on from the last mark; the rest is space for others
			return errors.Join(err, fsat.Truncate(dst.FD(), f.marks.Last()))
		}
		return errors.Join(err, f.takeBack())
	}
	f.keepSpace(dst.FD())
	lost, err := dst.Finish(&f.e, f.set)
	if err != nil {
		return notMirrored(f.path(), err)
	}
	f.failed = cmp.Or(f.failed, lost)
	f.allocated = f.e.Blocks * 512
	f.w.counts.BytesAllocated += f.allocated
	f.e.Flags |= f.w.notLinked
	return nil
}

// howChanged distinguishes a change of content, a change of metadata alone, and a file that is stored again only
// because no link could be made.
func (f *file) howChanged(known bool) Action {
	if !known || tree.Diff(f.was, &f.e)&(tree.Type|tree.Size|tree.Content) != 0 {
		return Changed
	}
	if f.caps.standsFor(f.was, &f.e) {
		return Unchanged
	}
	return MetadataChanged
}

// write puts the content into the new file: as a reflink of a stored file with the same content if the file system
// can do that, otherwise as a copy.
func (f *file) write(dst mirror.File, known bool) error {
	if known && f.caps.Reflink && f.e.Size > 0 && !f.isCarried() { // what is carried along is read, and proved by its hash
		cloned, err := f.shareStored(dst.FD(), clone)
		if err != nil {
			return err
		}
		if cloned {
			f.shares(f.e.Size)
			return nil
		}
	}
	if f.small == nil && !f.partial && f.caps.Reflink && f.src.CloneTo(dst.FD(), f.pool.archive.TopStat.Dev) {
		return f.hashClone(dst.FD())
	}
	fd, err := dst.Writable()
	if err != nil {
		return notMirrored(f.path(), err)
	}
	if f.small == nil {
		return f.copyLarge(fd, known)
	}
	f.tookUp(f.e.Size)
	if err := fsat.Write(fd, f.small, 0); err != nil {
		return writeFailed(f, err)
	}
	return nil
}

// copyLarge copies content that is not in memory, and hashes it on the way.
func (f *file) copyLarge(dst int, known bool) error {
	f.noteMarks(dst)
	n, hash, err := f.src.CopyTo(f.ctx, &f.w.copier, dst, f.st.Size, f.sparse)
	f.w.copier.Marks = nil
	f.countTaken()
	var writeErr *filecopy.WriteError
	switch {
	case errors.As(err, &writeErr):
		return writeFailed(f, writeErr.Err)
	case err != nil:
		return f.readFailed(err)
	}
	if err := f.content(n, hash); err != nil {
		return err
	}
	if !known {
		shared, err := f.shareLate(dst)
		if err != nil || shared {
			return err
		}
	}
	f.tookUp(uint64(f.data))
	return nil
}

// shareLate makes a copy share the content of a stored file after all, now that its hash is known. The copy is right,
// but the stored file may be damaged: the system compares the two first.
func (f *file) shareLate(dst int) (bool, error) {
	if !f.caps.Reflink || f.e.Size == 0 {
		return false, nil
	}
	shared, err := f.shareStored(dst, fsat.Dedupe)
	if shared {
		f.shares(f.e.Size)
	}
	return shared, err
}

// keepSpace allocates in the new file the space that the source's file has beyond its content.
func (f *file) keepSpace(dst int) {
	space, kept := f.src.KeepPreallocated(dst, f.data, f.inCommon > 0)
	f.stored += uint64(space)
	f.w.counts.BytesStored += uint64(space)
	if f.spaceLost = !kept; !kept {
		f.w.catalogOnly.Space++
	}
}

// hashClone hashes a reflink of the source's file: later changes of the source do not affect it.
func (f *file) hashClone(dst int) error {
	var clone fsat.Stat // the source may have become shorter since it was looked at
	if err := fsat.StatHandle(dst, &clone); err != nil {
		return fatal("stat", f.path(), err)
	}
	n, hash, err := f.w.copier.Copy(f.ctx, filecopy.NoFile, dst, clone.Size, f.sparse)
	if err != nil {
		return f.readFailed(err)
	}
	f.shares(uint64(n))
	return f.content(n, hash)
}

// writeFailed turns the error for a file too large for the archive's file system into a failure of that file; any
// other error is a failure of the archive.
func writeFailed(f *file, err error) error {
	if fsat.IsTooLarge(err) {
		return fmt.Errorf("store: the archive's file system cannot store a file of this size: %w", err)
	}
	return fatal("write", f.path(), lack.Explain(err, f.pool.archive.Path)) // before anything is removed
}

// readFailed turns the error of a cancelled run into its cause; any other error is a failure of the file.
func (f *file) readFailed(err error) error {
	if f.ctx.Err() != nil {
		return &fatalError{context.Cause(f.ctx)}
	}
	return fmt.Errorf("read: %w", err)
}
