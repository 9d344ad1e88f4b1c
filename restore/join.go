package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lookup"
	"snapcopy/internal/tree"
)

// In an existing target, a name of a link group may be missing while another one exists, equal to the snapshot's. The
// missing name has to become a link to the existing one, whichever of the two the walk meets first, and even if the
// existing one is outside of the paths to restore. Existing names keep their inode; names that this run has made are
// moved over.

// placed is a name that this run has given to an inode it has made for a link group.
type placed struct {
	dir  *dir
	name string
}

// madeName records an inode that this run has made for the group, or a further name of it.
func (g *linkGroups) madeName(group *linkGroup, d *dir, e *index.Entry) {
	if !g.fresh && !group.found { // a target that was empty has no other names
		group.names = append(group.names, placed{d, cloneName(e)})
	}
}

// adopt makes an inode of the target that equals the snapshot's the inode of its group, and makes all names of this
// run links to it. It returns false if the group keeps its own inode.
func (g *linkGroups) adopt(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) (bool, error) {
	if group.found || !g.claim(tree.IDOf(st), e) {
		return false, nil
	}
	if g.target.dry {
		group.found, group.made = true, madeOf(st)
		return true, nil
	}
	for _, p := range group.names {
		moved, err := g.moveName(w, d, e.Name, st, p, group)
		if err != nil || !moved {
			return false, err
		}
		w.counts.Linked++
	}
	group.found, group.names = true, nil
	group.dir, group.name, group.made = d, cloneName(e), madeOf(st)
	return true, nil
}

// isFull reports whether st, an inode of the target that equals the snapshot's, and the group's inode cannot become
// one, because one of them has as many names as the file system permits. The group goes on with the other one.
func (g *linkGroups) isFull(w *worker, d *dir, e *index.Entry, st *fsat.Stat, group *linkGroup) (bool, error) {
	space, err := fsat.FileSystem(d.dst())
	if err != nil || space.LinkLimit == 0 {
		return false, err
	}
	if st.Nlink >= space.LinkLimit {
		return true, nil
	}
	from, err := w.folders.Get(group.dir)
	if err != nil {
		return false, err
	}
	var has fsat.Stat
	if err := fsat.StatAt(from, group.name, &has); err != nil {
		return false, fmt.Errorf("stat: %w", err)
	}
	if madeOf(&has) != group.made || has.Nlink < space.LinkLimit || !g.claim(tree.IDOf(st), e) {
		return false, nil
	}
	group.found, group.names = true, nil
	group.dir, group.name, group.made = d, cloneName(e), madeOf(st)
	return true, nil
}

// moveName makes a name that this run has made a link to the inode st, which has a name in d.
func (g *linkGroups) moveName(w *worker, d *dir, name string, st *fsat.Stat, p placed,
	group *linkGroup) (moved bool, err error) {
	to := d.dst()
	if p.dir != d {
		p.dir.ending.Lock()
		defer p.dir.ending.Unlock()
		if to, err = openAgain(p.dir); err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, fsat.Close(to)) }()
	}
	var was, now fsat.Stat
	if err := fsat.StatAt(to, p.name, &was); err != nil || madeOf(&was) != group.made {
		return false, err // it is somebody else's by now
	}
	if err := g.target.step("link"); err != nil {
		return false, fmt.Errorf("link: %w", err)
	}
	temp := w.temp(p.dir)
	switch err := fsat.Link(d.dst(), name, to, temp); {
	case fsat.IsLinkLimit(err) || fsat.IsRefused(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("link: %w", err)
	}
	if fsat.StatAt(to, temp, &now) != nil || tree.IDOf(&now) != tree.IDOf(st) { // another file, or one that cannot be told from it
		return false, unlink(to, temp)
	}
	if err := fsat.Rename(to, temp, to, p.name); err != nil {
		return false, errors.Join(fmt.Errorf("rename: %w", err), unlink(to, temp))
	}
	return true, p.dir.keepTime(to)
}

// keepTime resets the time of an open folder after a name was added: it may have its metadata already.
func (d *dir) keepTime(fd int) error {
	d.touched.Store(true)
	if d.base != nil || d.selected != nil {
		return nil
	}
	if err := fsat.SetMtime(fd, d.entry.Mtime); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set time of its folder: %w", err)
	}
	return nil
}

// joinOutside looks for the other names of groups of which this run has made some, if only some paths of the snapshot
// are restored in place. It joins those that exist and equal the snapshot's.
func (r *run) joinOutside() error {
	if r.scope.whole() || !r.opt.InPlace || r.opt.DryRun || r.opt.Overwrite == OverwriteAlways {
		return nil
	}
	open := make(map[tree.GroupKey]*linkGroup)
	for key, g := range r.groups.All() {
		if group := &g.Value; g.Missing() && !group.found && len(group.names) > 0 {
			open[key] = group
		}
	}
	if len(open) == 0 {
		return nil
	}
	w := &r.workers[0]
	return r.scope.Catalog.Walk(func(folder string, _ *index.Record, e *index.Entry) error {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if !e.Linked() {
			return nil
		}
		group := open[tree.GroupKeyOf(e)]
		if group == nil || group.found {
			return nil
		}
		return r.joinOne(w, folder, e, group)
	})
}

// joinOne joins a group to one of its names in the target. It ignores faults of that name, which was not to be
// restored.
func (r *run) joinOne(w *worker, folder string, e *index.Entry, group *linkGroup) (err error) {
	fd, err := fsat.OpenPath(r.target.fd, folder)
	if err != nil {
		return nil
	}
	d := &dir{base: &lookup.Selected{Folder: folder, Entry: *e}}
	d.BeginBase(&r.top.Folder, folder, folder)
	d.Put(inTarget, fd, nil)
	defer func() { err = errors.Join(err, d.Close()) }()
	_ = d.Open(inSnapshot) // compare asks whether the name may be the archive's stored file
	var st fsat.Stat
	if fsat.StatAt(fd, e.Name, &st) != nil || tree.IDOf(&st) == group.made.id {
		return nil
	}
	if err := fsat.StatHandle(fd, &st); err != nil {
		return nil
	}
	d.SetID(inTarget, tree.IDOf(&st))
	if fsat.StatAt(fd, e.Name, &st) != nil {
		return nil
	}
	diff, err := r.comparer.entry(w, d, e, &st)
	if err != nil || diff != noDifference {
		return r.ctx.Err()
	}
	_, err = r.groups.adopt(w, d, e, &st, group)
	if r.ends(err) {
		return err
	}
	return nil
}
