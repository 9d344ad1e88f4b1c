package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// Overwrite says what to do with an existing entry of the target that differs from the snapshot.
type Overwrite uint8

// The values of Overwrite. In all of them, an existing entry counts as equal by its inode and change time if it is the
// very file the snapshot was made of, and otherwise by comparing contents.
const (
	OverwriteNever   Overwrite = iota // it is left, and told of as failed
	OverwriteChanged                  // it is made as in the snapshot
	OverwriteAlways                   // every entry is made anew, even an equal one
)

// difference is the kind of difference between an entry of the target and the snapshot's.
type difference uint8

const (
	noDifference  difference = iota
	otherMetadata            // or, of an entry that the restore has made, another link group
	otherContent             // or another kind of file, or link group
	partOfContent            // left by an interrupted restore, which this run continues
)

// restoreTaken restores an entry whose name exists in the target; taken is false if it does not.
func (r *run) restoreTaken(w *worker, d *dir, e *index.Entry) (taken bool, err error) {
	var st fsat.Stat
	err = fsat.StatAt(d.dst(), e.Name, &st)
	if fsat.IsGone(err) {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("stat in target: %w", err)
	}
	if d.folded(e.Name) {
		return true, errFolded
	}
	if e.Linked() {
		return true, r.linkedTaken(w, d, e, &st)
	}
	diff, err := r.compare(w, d, e, &st)
	if err != nil {
		return true, err
	}
	return true, r.resolve(w, d, e, &st, diff, nil)
}

var errFolded = fmt.Errorf("%w: the target's file system takes this name for another one of the folder", ErrExists)

// lookForFolding lists an existing folder in which the file system may treat names as equal that differ only in case,
// or in the encoding of letters: an existing name may then belong to another entry.
func (r *run) lookForFolding(d *dir) error {
	if r.target.exactNames {
		attrs, err := fsat.Attrs(d.dst())
		if err != nil {
			return fmt.Errorf("read attributes: %w", err)
		}
		if attrs&caseFold == 0 {
			return nil
		}
	}
	fd, err := fsat.OpenDir(d.dst(), ".") // a listing moves its handle
	if err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	list, err := fsat.ReadDir(fd, make([]byte, 64<<10))
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	d.had = make(map[string]bool, len(list))
	for _, e := range list {
		d.had[e.Name] = true
	}
	return nil
}

// caseFold is the attribute of folders in which ext4, f2fs and tmpfs fold names.
const caseFold = 0x40000000

// exactNames are the file systems that treat no two names as equal, except in folders with that attribute.
var exactNames = map[string]bool{"ext4": true, "xfs": true, "btrfs": true, "tmpfs": true, "f2fs": true, "overlay": true}

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
func (r *run) verdictOn(w *worker, e *index.Entry, st *fsat.Stat, diff difference, group *linkGroup) verdict {
	switch r.opt.Overwrite {
	case OverwriteAlways:
		return replaceIt
	case OverwriteNever:
		if diff != noDifference && !(r.mends() && (diff == otherMetadata || diff == partOfContent)) {
			return refuseIt
		}
	}
	switch {
	case diff == noDifference:
		return leaveIt
	case diff == otherMetadata && (group == nil || group.dir == nil) && r.mayUpdate(w, e, st):
		return updateIt
	}
	return replaceIt
}

// resolve carries out the options for an entry of the target with a difference diff, or none.
func (r *run) resolve(w *worker, d *dir, e *index.Entry, st *fsat.Stat, diff difference, group *linkGroup) error {
	switch r.verdictOn(w, e, st, diff, group) {
	case leaveIt:
		w.counts.Unchanged++
		r.opt.Progress.Bytes.Add(tree.ContentBytes(e))
		r.told(d, e, tree.Same)
		return nil
	case refuseIt:
		return fmt.Errorf("%w and differs", ErrExists)
	case updateIt:
		made, err := r.update(w, d, e, st)
		if err == nil && group != nil && r.groups.claim(tree.IDOf(st), e) {
			group.has(d, e, &made)
		}
		return err
	}
	return r.replace(w, d, e, st, diff, group)
}

// replace makes an entry anew in the place of one of the target. If the stored content is damaged, a part that an
// interrupted restore left is removed.
func (r *run) replace(w *worker, d *dir, e *index.Entry, st *fsat.Stat, diff difference, group *linkGroup) (err error) {
	var damaged bool
	if group != nil {
		err = r.restoreInGroup(w, d, e, st, group)
		damaged = group.dir == nil && group.bad != 0 && group.bad == e.Stored
	} else {
		_, err = r.make(w, d, e, st)
		damaged = errors.Is(err, tree.ErrContent)
	}
	if diff == partOfContent && damaged {
		err = errors.Join(err, dropPart(d, e, st))
	}
	return err
}

// linkedTaken is restoreTaken for one of several names of an inode. All other names get the inode that the first name
// has, or is given; no other group may have it.
func (r *run) linkedTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat) error {
	key := tree.GroupKeyOf(e)
	entered := r.groups.Enter(key, e.Nlink)
	defer r.groups.Leave(key, entered)
	group := &entered.Value
	if group.dir != nil {
		return r.furtherTaken(w, d, e, st, group)
	}
	diff, err := r.compare(w, d, e, st)
	if err != nil {
		return err
	}
	if diff == noDifference && r.opt.Overwrite != OverwriteAlways && r.groups.claim(tree.IDOf(st), e) {
		group.has(d, e, st)
	} else if diff == noDifference {
		diff = otherContent
	}
	return r.resolve(w, d, e, st, diff, group)
}

// has records that the target had the inode of the group, or an inode that has replaced it, as an entry of d.
func (g *linkGroup) has(d *dir, e *index.Entry, st *fsat.Stat) {
	g.found, g.dir, g.name, g.made = true, d, cloneName(e), madeOf(st)
}

// furtherTaken is linkedTaken for a name of a group that has an inode.
func (r *run) furtherTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) error {
	if group.made.id == tree.IDOf(st) {
		return r.resolve(w, d, e, st, noDifference, group)
	}
	diff, err := r.compare(w, d, e, st)
	if err != nil {
		return err
	}
	if diff == noDifference {
		joined, err := r.joinTaken(w, d, e, st, group)
		if err != nil {
			return err
		}
		if joined {
			return r.resolve(w, d, e, st, noDifference, group)
		}
		if r.opt.Overwrite == OverwriteNever && !r.mends() {
			return fmt.Errorf("%w, as in the snapshot but for being no hard link of %q", ErrExists,
				group.dir.Child(group.name))
		}
	}
	if r.mends() {
		diff = max(diff, otherMetadata)
	} else if can, err := r.canLink(w, d); err != nil {
		return err
	} else if can {
		diff = otherContent
	}
	return r.resolve(w, d, e, st, diff, group)
}

// joinTaken joins a group to an entry of the target that equals the snapshot's except for not being a link. If no link
// can be made, the entry counts as joined, too: each name is a file of its own, or one of several files that are full.
func (r *run) joinTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) (joined bool, err error) {
	if joined, err := r.adopt(w, d, e, st, group); joined || err != nil {
		return joined, err
	}
	can, err := r.canLink(w, d)
	if can && err == nil {
		var full bool
		full, err = r.isFull(w, d, e, st, group)
		can = !full
	}
	if can || err != nil {
		return false, err
	}
	w.counts.NotHeld.Links++
	return true, nil
}

// compare returns the difference of an entry of the target from the snapshot's, among those that can be mended. It
// reads content only if nothing else tells.
func (r *run) compare(w *worker, d *dir, e *index.Entry, st *fsat.Stat) (diff difference, err error) {
	before := w.counts.NotHeld
	diff, err = r.compareEntry(w, d, e, st)
	if diff != noDifference || err != nil {
		w.counts.NotHeld = before // making the entry counts them again
	}
	return diff, err
}

func (r *run) compareEntry(w *worker, d *dir, e *index.Entry, st *fsat.Stat) (difference, error) {
	if tree.DiffStat(e, st)&tree.Type != 0 || !e.Linked() && st.Nlink != 1 && e.Type != index.Dir {
		return otherContent, nil
	}
	if err := r.notStored(d, e, st); err != nil {
		if r.opt.Overwrite == OverwriteNever {
			return otherContent, err
		}
		return otherContent, nil
	}
	if r.isRecorded(e, st) {
		return noDifference, nil
	}
	if r.opt.Overwrite == OverwriteAlways {
		return otherContent, nil
	}
	m := wanted{r: r, w: w, d: d, e: e}
	meta, err := m.hasStat(st)
	if err != nil {
		return otherContent, err
	}
	if !meta && r.opt.Overwrite == OverwriteNever && !r.mends() {
		return otherContent, nil
	}
	if e.Type == index.File {
		diff, err := r.compareFile(&m, st, meta)
		if err != nil && r.ctx.Err() == nil && r.opt.Overwrite != OverwriteNever {
			return otherContent, nil // whatever it is, it can be replaced
		}
		if r.mends() && errors.Is(err, fs.ErrPermission) && r.isUnread(e, st) {
			return partOfContent, nil
		}
		return diff, err
	}
	return compareOther(&m, st, meta)
}

// compareOther is compareEntry for an entry other than a regular file. meta says that the metadata in stat data are
// equal.
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

// notStored returns an error if the target has, or may have, the stored file itself (cp -al from the snapshot), for an
// entry that may have several names: nothing may be linked to a stored file.
func (r *run) notStored(d *dir, e *index.Entry, st *fsat.Stat) error {
	if !e.Linked() || st.Dev != r.archive.folder.Dev {
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
	return fmt.Errorf("%w, and may be the archive's stored file itself, which cannot be looked at: %w", ErrExists, err)
}

var errStored = fmt.Errorf("%w, and is the archive's stored file itself: what is written to it changes the snapshot", ErrExists)

// mends reports whether metadata of an existing entry may be corrected even though Overwrite is Never: the entry was
// made by the interrupted restore that this run resumes.
func (r *run) mends() bool { return r.resumed() && r.opt.Overwrite == OverwriteNever }

// isRecorded reports whether the target has the very inode that the snapshot was made of, unchanged by its change
// time.
func (r *run) isRecorded(e *index.Entry, st *fsat.Stat) bool {
	return int(e.Dev) < len(r.devices) && r.devices[e.Dev] == st.Dev &&
		tree.DiffStat(e, st)&tree.Version == 0 && e.Flags&(index.Racy|index.Torn) == 0
}

func (r *run) compareFile(m *wanted, st *fsat.Stat, meta bool) (diff difference, err error) {
	w, d, e := m.w, m.d, m.e
	if uint64(st.Size) != e.Size && !r.mends() {
		return otherContent, nil
	}
	fd, err := fsat.OpenFile(d.dst(), e.Name)
	if err != nil {
		return otherContent, fmt.Errorf("open in target: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if uint64(st.Size) != e.Size {
		return r.comparePart(w, d, e, fd, st.Size)
	}
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return otherContent, fmt.Errorf("read extended attributes in target: %w", err)
	}
	attrs, err := fsat.Attrs(fd)
	if err != nil {
		return otherContent, fmt.Errorf("read attributes in target: %w", err)
	}
	if meta {
		meta, err = m.hasXattrs(index.HashXattrs(set))
	}
	if meta && r.opt.Attrs && err == nil {
		meta, err = m.hasAttrs(tree.KnownAttrs(attrs))
	}
	if err != nil {
		return otherContent, err
	}
	if !meta && r.opt.Overwrite == OverwriteNever && !r.mends() {
		return otherContent, nil
	}
	tick := w.copier.Tick
	w.copier.Tick = nil // it is counted when it is settled
	_, hash, err := w.copier.Copy(r.ctx, filecopy.NoFile, fd, st.Size, fsat.HasHoles(fd, st.Size))
	w.copier.Tick = tick
	switch {
	case err != nil:
		return otherContent, fmt.Errorf("read in target: %w", err)
	case hash != e.Hash && r.mends():
		return r.comparePart(w, d, e, fd, st.Size)
	case hash != e.Hash:
		return otherContent, nil
	case !meta:
		return otherMetadata, nil
	}
	return noDifference, nil
}

// update sets the metadata of a file of the target whose content was found to be right when it was as seen. The inode
// must have no other name: a file with several may have been linked in from elsewhere by another user, and is replaced
// instead.
func (r *run) update(w *worker, d *dir, e *index.Entry, seen *fsat.Stat) (made fsat.Stat, err error) {
	if r.opt.DryRun {
		w.counts.Metadata++
		r.told(d, e, tree.Updated)
		return *seen, nil
	}
	if err := r.target.step("update"); err != nil {
		return made, fmt.Errorf("update: %w", err)
	}
	want, err := w.xattrs.Get(r.from.Catalog, e.Xattrs)
	if err != nil {
		return made, err
	}
	fd, err := fsat.OpenFile(d.dst(), e.Name)
	if err != nil {
		return made, fmt.Errorf("open in target: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return made, fmt.Errorf("stat: %w", err)
	}
	if !st.SameVersion(seen) || st.Nlink != 1 {
		return made, errReplaced
	}
	before := w.counts
	s, err := r.updateInode(w, fd, e, want)
	if err != nil {
		w.counts = before
		return made, err
	}
	r.lockLater(d, e.Name, e, &s.Stat)
	w.counts.Metadata++
	r.opt.Progress.Bytes.Add(e.Size)
	r.told(d, e, tree.Updated)
	return s.Stat, nil
}

// mayUpdate reports whether an inode of the target with the right content may get the right metadata. Its present
// owner may have it open for writing: it must not become a file of another owner, or one that runs with more
// privileges, into which he could then write.
func (r *run) mayUpdate(w *worker, e *index.Entry, st *fsat.Stat) bool {
	switch {
	case st.Type != fsat.Regular || st.Nlink != 1 || st.UID != e.UID && st.UID != r.setter.UID:
		return false
	case e.Mode&0o6000 != 0:
		return st.Mode == e.Mode && st.UID == e.UID && st.GID == e.GID
	case st.UID == r.setter.UID:
		return true
	}
	set, err := w.xattrs.Get(r.from.Catalog, e.Xattrs)
	return err == nil && !slices.ContainsFunc(set, func(x index.Xattr) bool { return x.Name == tree.Capability })
}

// updateInode sets exactly the metadata of an entry on an existing file or folder.
func (r *run) updateInode(w *worker, fd int, e *index.Entry, want []index.Xattr) (tree.Done, error) {
	if err := dropXattrs(w, fd, want); err != nil {
		return tree.Done{}, err
	}
	return r.setMetadata(w, tree.Opened(fd), e, want, tree.Setting{})
}

// dropXattrs removes from an existing file or folder the extended attributes that it should not have.
func dropXattrs(w *worker, fd int, want []index.Xattr) error {
	kept, err := tree.DropXattrs(fd, want)
	w.counts.NotHeld.Xattrs += kept
	return err
}
