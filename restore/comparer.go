package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// difference is the kind of difference between an entry of the target and the snapshot's.
type difference uint8

const (
	noDifference  difference = iota
	otherMetadata            // or, of an entry that the restore has made, another link group
	otherContent             // or another kind of file, or link group
	partOfContent            // left by an interrupted restore, which this run continues
)

// comparer compares entries of the target with the snapshot's. It decides whether one that is neither a folder nor one
// of several names may stay; taken.go lists who decides about the others.
type comparer struct {
	ctx       context.Context
	catalog   *index.Catalog
	target    *target
	trials    trials
	uid       uint32 // of the process
	attrs     bool   // Options.Attrs
	overwrite Overwrite
	note      *note
	devices   []uint64 // of the source, as numbered in the catalog
}

// mends reports whether metadata of an existing entry may be corrected even though overwrite is Never: the entry was
// made by the interrupted restore that this run resumes.
func (c *comparer) mends() bool { return c.overwrite == OverwriteNever && c.note.resumed() }

// leaves reports whether an entry is left alone whatever the difference.
func (c *comparer) leaves() bool { return c.overwrite == OverwriteNever && !c.note.resumed() }

// entry returns the difference of an entry of the target from the snapshot's, among those that can be mended. It
// reads content only if nothing else tells.
func (c *comparer) entry(w *worker, d *dir, e *index.Entry, st *fsat.Stat) (diff difference, err error) {
	before := w.counts.CatalogOnly
	diff, err = c.differs(w, d, e, st)
	if diff != noDifference || err != nil {
		w.counts.CatalogOnly = before // making the entry counts them again
	}
	return diff, err
}

func (c *comparer) differs(w *worker, d *dir, e *index.Entry, st *fsat.Stat) (difference, error) {
	shared := !e.Linked() && st.Nlink != 1 && e.Type != index.Dir
	if tree.DiffStat(e, st)&tree.Type != 0 || shared && !c.leaves() {
		return otherContent, nil
	}
	diff, err := c.differsBesideLinks(w, d, e, st)
	if shared && diff == noDifference && err == nil {
		return otherContent, fmt.Errorf("%w and equals the snapshot except for its hard links: it has %d names, and 1 in the snapshot",
			ErrExists, st.Nlink)
	}
	return diff, err
}

// differsBesideLinks does the same as differs for an entry of the right type, whatever its number of names.
func (c *comparer) differsBesideLinks(w *worker, d *dir, e *index.Entry, st *fsat.Stat) (difference, error) {
	if err := c.notStored(d, e, st); err != nil {
		if c.overwrite == OverwriteNever {
			return otherContent, err
		}
		return otherContent, nil
	}
	if c.isRecorded(e, st) {
		return noDifference, nil
	}
	if c.overwrite == OverwriteAlways {
		return otherContent, nil
	}
	m := wanted{t: &c.trials, w: w, d: d, e: e}
	meta, err := m.hasStat(st)
	if err != nil || !meta && c.leaves() {
		return otherContent, err
	}
	if e.Type != index.File {
		return compareOther(&m, st, meta)
	}
	return c.fileOrPart(&m, st, meta)
}

// fileOrPart does the same as differs for a regular file, also if it cannot be read.
func (c *comparer) fileOrPart(m *wanted, st *fsat.Stat, meta bool) (difference, error) {
	diff, err := c.file(m, st, meta)
	if err != nil && c.ctx.Err() == nil && c.overwrite != OverwriteNever {
		return otherContent, nil // whatever it is, it can be replaced
	}
	if c.mends() && errors.Is(err, fs.ErrPermission) && c.isUnread(m.e, st) {
		return partOfContent, nil
	}
	return diff, err
}

// file does the same as differs for a regular file that can be read.
func (c *comparer) file(m *wanted, st *fsat.Stat, meta bool) (diff difference, err error) {
	w, d, e := m.w, m.d, m.e
	if uint64(st.Size) != e.Size && !c.mends() {
		return otherContent, nil
	}
	fd, err := fsat.OpenFile(d.dst(), e.Name)
	if err != nil {
		return otherContent, fmt.Errorf("open in target: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if uint64(st.Size) != e.Size {
		return c.part(w, d, e, fd, st.Size)
	}
	meta, err = m.hasOpened(fd, meta)
	if err != nil || !meta && c.leaves() {
		return otherContent, err
	}
	tick := w.copier.Tick
	w.copier.Tick = nil // it is counted when the entry is done
	_, hash, err := w.copier.Copy(c.ctx, filecopy.NoFile, fd, st.Size, fsat.HasHoles(fd, st.Size))
	w.copier.Tick = tick
	switch {
	case err != nil:
		return otherContent, fmt.Errorf("read in target: %w", err)
	case hash != e.Hash && c.mends():
		return c.part(w, d, e, fd, st.Size)
	case hash != e.Hash:
		return otherContent, nil
	case !meta:
		return otherMetadata, nil
	}
	return noDifference, nil
}

// compareOther does the same as differs for an entry other than a regular file. meta says that the metadata in stat
// data are equal.
func compareOther(m *wanted, st *fsat.Stat, meta bool) (difference, error) {
	d, e := m.d, m.e
	set, err := fsat.XattrsAt(d.dst(), e.Name)
	if err != nil {
		return otherContent, fmt.Errorf("read extended attributes in target: %w", err)
	}
	if e.Type == index.Symlink {
		target, err := fsat.Readlink(d.dst(), e.Name, st.Size)
		if err != nil {
			return otherContent, fmt.Errorf("read link in target: %w", err)
		}
		if target != e.Target {
			return otherContent, nil
		}
	}
	if tree.IsDevice(e.Type) && tree.DiffStat(e, st)&tree.Rdev != 0 {
		return otherContent, nil
	}
	if meta {
		meta, err = m.hasXattrs(index.HashXattrs(set))
	}
	if !meta || err != nil {
		return otherMetadata, err
	}
	return noDifference, nil
}

// dir returns those fields in which an open folder of the target differs that can be mended.
func (c *comparer) dir(w *worker, d *dir, fd int, st *fsat.Stat) (diff tree.Fields, err error) {
	e := &d.entry
	d.seen = seenOf(st)
	if c.isRecorded(e, st) {
		return 0, nil
	}
	before := w.counts.CatalogOnly
	m := wanted{t: &c.trials, w: w, d: d, e: e}
	if diff = tree.DiffStat(e, st) & tree.Settable(e.Type); diff != 0 {
		ok, err := m.try()
		if err != nil {
			return 0, err
		}
		if ok {
			diff = m.most.left(e, diff, st)
		}
	}
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return 0, fmt.Errorf("read extended attributes: %w", err)
	}
	if same, err := m.hasXattrs(index.HashXattrs(set)); err != nil {
		return 0, err
	} else if !same {
		diff |= tree.Xattrs
	}
	if c.attrs {
		attrs, err := fsat.Attrs(fd)
		if err != nil {
			return 0, fmt.Errorf("read attributes: %w", err)
		}
		if same, err := m.hasAttrs(tree.KnownAttrs(attrs)); err != nil {
			return 0, err
		} else if !same {
			diff |= tree.Attrs
		}
	}
	if diff != 0 {
		w.counts.CatalogOnly = before // it is counted when it is mended
	}
	return diff, nil
}

// notStored returns an error if the target has, or may have, the stored file itself (cp -al from the snapshot), for an
// entry that may have several names: nothing may be linked to a stored file.
func (c *comparer) notStored(d *dir, e *index.Entry, st *fsat.Stat) error {
	if !e.Linked() || st.Dev != c.target.archive.folder.Dev {
		return nil
	}
	err := d.Lost(inSnapshot)
	if d.src() >= 0 {
		var stored fsat.Stat
		if err = fsat.StatAt(d.src(), e.Name, &stored); err == nil {
			if tree.IDOf(&stored) == tree.IDOf(st) {
				return errStored
			}
			return nil
		}
	}
	if st.Nlink == 1 && !c.target.fsync { // a file system of this machine counts names, and the archive has none of them
		return nil
	}
	return fmt.Errorf("%w, and may be the archive's stored file itself, which cannot be looked at: %w", ErrExists, err)
}

var errStored = fmt.Errorf(
	"%w, and is the archive's stored file itself: writing to it would change the snapshot", ErrExists)

// isRecorded reports whether the target has the very inode that the snapshot was made of, unchanged by its change
// time. A run reads a folder again if it could not read all of it. Here such a folder may be unchanged: the catalog may
// lack some of its metadata, too, which must not be taken for differences.
func (c *comparer) isRecorded(e *index.Entry, st *fsat.Stat) bool {
	was := *e
	was.Flags &^= index.Unread
	return int(e.Dev) < len(c.devices) && c.devices[e.Dev] == st.Dev && tree.Unchanged(&was, st, 0)
}

// isUnread reports whether a file that these privileges cannot read was left by a restore of ours. A file with the
// recorded time was changed by nobody; a file with the mode of files without content must not be longer than the
// entry.
func (c *comparer) isUnread(e *index.Entry, st *fsat.Stat) bool {
	return e.Mtime == st.Mtime ||
		st.Mode == unfinishedMode && st.UID == c.uid && uint64(st.Size) <= e.Size
}

// part checks whether an open file of the target is the part of an entry that an interrupted restore leaves,
// also by a power cut: the file is no longer than the entry, and each of its blocks either is as stored or was never
// written. Replacing such a file loses nothing.
func (c *comparer) part(w *worker, d *dir, e *index.Entry, fd int, size int64) (diff difference, err error) {
	if uint64(size) > e.Size {
		return otherContent, nil
	}
	src, _, err := tree.OpenStored(d.src(), d.Lost(inSnapshot), e)
	if err != nil {
		return otherContent, err
	}
	defer func() { err = errors.Join(err, fsat.Close(src)) }()
	half := len(w.copier.Buf) / 2
	for at := int64(0); at < size; {
		if c.ctx.Err() != nil {
			return otherContent, context.Cause(c.ctx)
		}
		start, end, ok, err := fsat.NextData(fd, at, size)
		if err != nil {
			return otherContent, fmt.Errorf("read in target: %w", err)
		}
		if !ok {
			break
		}
		at = min(end, start/writtenBlock*writtenBlock+int64(half))
		has, stored := w.copier.Buf[:at-start], w.copier.Buf[half:][:at-start]
		if err := readFull(fd, has, start); err != nil {
			return otherContent, fmt.Errorf("read in target: %w", err)
		}
		if err := readFull(src, stored, start); err != nil {
			return otherContent, tree.StoredError(fmt.Errorf("read: %w", err))
		}
		if !partOf(has, stored) {
			return otherContent, nil
		}
	}
	return partOfContent, nil
}

// writtenBlock is the smallest piece of a file that reaches the disk at once.
const writtenBlock = 512

// partOf reports whether each block of has is zeros or equal to stored.
func partOf(has, stored []byte) bool {
	for len(has) > 0 {
		n := min(len(has), writtenBlock)
		if !bytes.Equal(has[:n], stored[:n]) && !filecopy.AllZero(has[:n]) {
			return false
		}
		has, stored = has[n:], stored[n:]
	}
	return true
}

// readFull fills buf with the content of a file from offset at.
func readFull(fd int, buf []byte, at int64) error {
	for len(buf) > 0 {
		n, err := fsat.ReadSome(fd, buf, at)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		buf, at = buf[n:], at+int64(n)
	}
	return nil
}

// verdict is the decision about an entry of the target with the name of an entry of the snapshot.
type verdict uint8

const (
	leaveIt   verdict = iota // it is as in the snapshot
	refuseIt                 // it differs and may not be changed
	updateIt                 // it gets the metadata of the snapshot
	replaceIt                // it is made anew
)

// verdictOn decides about an entry of the target with a difference diff, or none. In a group that has an inode,
// further names become links to it.
func (c *comparer) verdictOn(w *worker, e *index.Entry, st *fsat.Stat, diff difference, group *linkGroup) verdict {
	switch c.overwrite {
	case OverwriteAlways:
		return replaceIt
	case OverwriteNever:
		if diff != noDifference && !(c.mends() && (diff == otherMetadata || diff == partOfContent)) {
			return refuseIt
		}
	}
	switch {
	case diff == noDifference:
		return leaveIt
	case diff == otherMetadata && (group == nil || group.dir == nil) && c.mayUpdate(w, e, st):
		return updateIt
	}
	return replaceIt
}

// mayUpdate reports whether an inode of the target with the right content may get the right metadata. Its present
// owner may have it open for writing: it must not become a file of another owner, or one that runs with more
// privileges, into which he could then write.
func (c *comparer) mayUpdate(w *worker, e *index.Entry, st *fsat.Stat) bool {
	switch {
	case st.Type != fsat.Regular || st.Nlink != 1 || st.UID != e.UID && st.UID != c.uid:
		return false
	case e.Mode&0o6000 != 0:
		return st.Mode == e.Mode && st.UID == e.UID && st.GID == e.GID
	case st.UID == c.uid:
		return true
	}
	set, err := w.xattrs.Get(c.catalog, e.Xattrs)
	return err == nil && !slices.ContainsFunc(set, func(x index.Xattr) bool { return x.Name == tree.Capability })
}
