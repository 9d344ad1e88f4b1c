package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// An entry of the target with the name of an entry of the snapshot may stay or not. These decide:
//
//   - comparer.verdictOn about an entry that is no folder, from the difference that comparer.entry has found;
//   - linkedTaken and furtherTaken about one of several names of an inode: equal content is not enough, it must have
//     the inode of the group, or that of no other group; they pass a difference on to verdictOn;
//   - run.existing about a folder in the place of a folder, by its state; leaveAsIs and updateDir carry that out;
//   - clearWay about another entry in the place of a folder;
//   - clearer.keepAside about a folder in the place of another entry, when replace makes the entry.
//
// About an entry whose name the snapshot does not have decide clearer.deleteOthers and, for an entry of which there is
// no copy, clearer.hasNoCopy.

// Overwrite says what to do with an existing entry of the target that differs from the snapshot.
type Overwrite uint8

// The values of Overwrite. In all of them, an existing entry counts as equal by its inode and change time if it is the
// very file the snapshot was made of, and otherwise by comparing contents.
const (
	OverwriteNever   Overwrite = iota // it is left alone and listed as failed
	OverwriteChanged                  // it is made as in the snapshot
	OverwriteAlways                   // every entry is made anew, even an equal one
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
	diff, err := r.comparer.entry(w, d, e, &st)
	if err != nil {
		return true, err
	}
	return true, r.resolve(w, d, e, &st, diff, nil)
}

var errFolded = fmt.Errorf("%w: the target's file system treats this name as equal to another name in the same folder", ErrExists)

// resolve carries out the options for an entry of the target with a difference diff, or none.
func (r *run) resolve(w *worker, d *dir, e *index.Entry, st *fsat.Stat, diff difference, group *linkGroup) error {
	switch r.comparer.verdictOn(w, e, st, diff, group) {
	case leaveIt:
		w.counts.Unchanged++
		r.opt.Progress.Bytes.Add(tree.ContentBytes(e))
		r.told(d, e, outcome.Same)
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

// linkedTaken does the same as restoreTaken for one of several names of an inode. All other names get the inode that the
// first name has, or is given; no other group may have it.
func (r *run) linkedTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat) error {
	key := tree.GroupKeyOf(e)
	entered := r.groups.Enter(key, e.Nlink)
	defer r.groups.Leave(key, entered)
	group := &entered.Value
	if group.dir != nil {
		return r.furtherTaken(w, d, e, st, group)
	}
	diff, err := r.comparer.entry(w, d, e, st)
	if err != nil {
		return err
	}
	if diff == noDifference && r.opt.Overwrite != OverwriteAlways && r.groups.claim(tree.IDOf(st), e) {
		group.has(d, e, st)
	} else if diff == noDifference {
		if r.comparer.leaves() {
			return fmt.Errorf("%w and equals the snapshot except for its hard links: some are of another file in the snapshot", ErrExists)
		}
		diff = otherContent
	}
	return r.resolve(w, d, e, st, diff, group)
}

// has records that the target had the inode of the group, or an inode that has replaced it, as an entry of d.
func (g *linkGroup) has(d *dir, e *index.Entry, st *fsat.Stat) {
	g.found, g.dir, g.name, g.made = true, d, cloneName(e), madeOf(st)
}

// furtherTaken does the same as linkedTaken for a name of a group that has an inode.
func (r *run) furtherTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) error {
	if group.made.id == tree.IDOf(st) {
		return r.resolve(w, d, e, st, noDifference, group)
	}
	diff, err := r.comparer.entry(w, d, e, st)
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
		if r.comparer.leaves() {
			return fmt.Errorf("%w and equals the snapshot, but is not a hard link of %q", ErrExists,
				group.dir.Child(group.name))
		}
	}
	if r.comparer.mends() {
		diff = max(diff, otherMetadata)
	} else if can, err := r.comparer.trials.canLink(w, d); err != nil {
		return err
	} else if can {
		diff = otherContent
	}
	return r.resolve(w, d, e, st, diff, group)
}

// joinTaken joins a group to an entry of the target that equals the snapshot's except for not being a link. If no link
// can be made, the entry counts as joined, too: each name is a file of its own, or one of several files that are full.
func (r *run) joinTaken(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) (joined bool, err error) {
	if joined, err := r.groups.adopt(w, d, e, st, group); joined || err != nil {
		return joined, err
	}
	can, err := r.comparer.trials.canLink(w, d)
	if can && err == nil {
		var full bool
		full, err = r.groups.isFull(w, d, e, st, group)
		can = !full
	}
	if can || err != nil {
		return false, err
	}
	w.counts.CatalogOnly.Links++
	return true, nil
}

// update sets the metadata of a file of the target whose content was found to be right when it was as seen. The inode
// must have no other name: a file with several may have been linked in from elsewhere by another user, and is replaced
// instead.
func (r *run) update(w *worker, d *dir, e *index.Entry, seen *fsat.Stat) (made fsat.Stat, err error) {
	if r.opt.DryRun {
		w.counts.Metadata++
		r.told(d, e, outcome.Updated)
		return *seen, nil
	}
	if err := r.target.step("update"); err != nil {
		return made, fmt.Errorf("update: %w", err)
	}
	want, err := w.xattrs.Get(r.scope.Catalog, e.Xattrs)
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
	s, err := r.maker.updateInode(w, fd, e, want)
	if err != nil {
		w.counts = before
		return made, err
	}
	r.late.lock(d, e.Name, e, &s.Stat)
	w.counts.Metadata++
	r.opt.Progress.Bytes.Add(e.Size)
	r.told(d, e, outcome.Updated)
	return s.Stat, nil
}
