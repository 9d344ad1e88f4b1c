package restore

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// linkGroups remembers, for each inode of the source that has several names, where the first of them was restored.
type linkGroups struct {
	mu      sync.Mutex
	groups  map[tree.GroupKey]*linkGroup
	kept    map[tree.InodeID]tree.GroupKey // inodes of the target that were as in the snapshot, and are those of a group
	counted bool                           // each name comes once, so that a group is done with after the last
}

// linkGroup is one such inode. Its lock is held while one of its names is restored, so that the others wait for that.
type linkGroup struct {
	mu   sync.Mutex
	left int64 // names not seen yet
	dir  *dir  // where the restored one is; nil: none yet
	name string
	made madeInode
	// found: that inode was in the target before, as the snapshot has it. Otherwise this run has made it, and names are
	// those it has so far.
	found bool
	names []placed
	bad   uint64 // a stored inode with damaged content, which need not be read again; 0: none
	err   error  // what is wrong with it
}

func (g *linkGroups) init(counted bool) {
	g.groups, g.kept, g.counted = make(map[tree.GroupKey]*linkGroup), make(map[tree.InodeID]tree.GroupKey), counted
}

// claim makes an inode of the target that of the group of e, unless it is another group's.
func (g *linkGroups) claim(id tree.InodeID, e *index.Entry) bool {
	key := tree.GroupKeyOf(e)
	g.mu.Lock()
	defer g.mu.Unlock()
	if other, taken := g.kept[id]; taken && other != key {
		return false
	}
	g.kept[id] = key
	return true
}

func cloneName(e *index.Entry) string { return strings.Clone(e.Name) }

// enter gives the group of an entry, locked.
func (g *linkGroups) enter(e *index.Entry) *linkGroup {
	key := tree.GroupKeyOf(e)
	g.mu.Lock()
	group := g.groups[key]
	if group == nil {
		group = &linkGroup{left: int64(e.Nlink)}
		g.groups[key] = group
	}
	group.left--
	if group.left <= 0 && g.counted {
		delete(g.groups, key)
	}
	g.mu.Unlock()
	group.mu.Lock()
	return group
}

// restoreLinked restores one of several names of an inode: as a link to the one restored before, if there is one. over
// describes what has the name and is to be replaced, if that is not nil.
func (r *run) restoreLinked(w *worker, d *dir, e *index.Entry, over *fsat.Stat) error {
	group := r.groups.enter(e)
	defer group.mu.Unlock()
	return r.restoreInGroup(w, d, e, over, group)
}

func (r *run) restoreInGroup(w *worker, d *dir, e *index.Entry, over *fsat.Stat, group *linkGroup) error {
	apart := false
	if group.dir != nil {
		linked, err := r.linkToGroup(w, d, e.Name, over, group)
		if err != nil {
			return r.outcome(d, e, err)
		}
		if linked {
			w.counts.Files++
			w.counts.Linked++
			d.touched.Store(true)
			if over != nil {
				w.counts.Replaced++
			}
			r.madeName(group, d, e)
			r.opt.Progress.Bytes.Add(tree.ContentBytes(e))
			r.told(d, e, tree.Linked)
			return nil
		}
		apart = true // the target cannot do that, or not once more: the next names are linked to this one
	}
	if group.bad != 0 && group.bad == e.Stored {
		return r.tryLate(d, e, group, group.err)
	}
	made, err := r.make(w, d, e, over)
	if errors.Is(err, tree.ErrDamaged) {
		if errors.Is(err, tree.ErrContent) {
			group.bad, group.err = e.Stored, err
		}
		return r.tryLate(d, e, group, err)
	}
	if err != nil {
		return r.outcome(d, e, err)
	}
	if apart {
		w.counts.NotHeld.Links++
	}
	group.dir, group.name, group.made = d, cloneName(e), madeOf(&made)
	group.found, group.names = false, nil
	r.madeName(group, d, e)
	return nil
}

// linkToGroup makes name in d a further name of what the group has; it returns false if the target does not allow that.
func (r *run) linkToGroup(w *worker, d *dir, name string, over *fsat.Stat, group *linkGroup) (bool, error) {
	if r.opt.DryRun {
		if over != nil {
			err := r.keepAside(w, d, name, over, true)
			return err == nil, err
		}
		return true, nil
	}
	if err := r.openUp(d); err != nil {
		return false, err
	}
	from := d.dst()
	if group.dir != d {
		var err error
		if from, err = w.folders.Get(group.dir); err != nil {
			return false, err
		}
	}
	if over == nil {
		return r.link(from, group, d, d.dst(), name)
	}
	if err := r.removeLeftovers(w, d); err != nil {
		return false, err
	}
	temp := w.temp(d)
	p := pending{dir: d.dst(), fd: fsat.NoDir, temp: temp}
	linked, err := r.link(from, group, d, d.dst(), temp)
	if err != nil {
		return false, errors.Join(err, p.end())
	}
	if !linked {
		return false, nil
	}
	if err = r.keepAside(w, d, name, over, true); err == nil {
		err = p.publish(w, d, name, over.Type != fsat.Directory)
		p.temp = temp // still there if both were names of one inode
	}
	return err == nil, errors.Join(err, p.end())
}

func (r *run) link(from int, group *linkGroup, d *dir, to int, name string) (bool, error) {
	if err := r.step("link"); err != nil {
		return false, fmt.Errorf("link: %w", err)
	}
	switch err := fsat.Link(from, group.name, to, name); {
	case fsat.IsLinkLimit(err) || fsat.IsRefused(err):
		return false, nil
	case err != nil:
		return false, d.refused("link", err)
	}
	// It may be another file, which has taken the place of the group's; or a file system has a number for each name, or shows
	// late what it has. None of that can be told from the others, and a copy is always right.
	var st fsat.Stat
	if err := fsat.StatAt(to, name, &st); err == nil && madeOf(&st) == group.made {
		return true, nil
	}
	return false, unlink(to, name)
}

// madeInode tells an inode that this run has made from one that took its place, and perhaps its number.
type madeInode struct {
	id       tree.InodeID
	uid, gid uint32
	size     int64
	mtime    fsat.Time
}

func madeOf(st *fsat.Stat) madeInode {
	return madeInode{tree.IDOf(st), st.UID, st.GID, st.Size, st.Mtime}
}

// lateWork is what can only be done when everything else is there.
type lateWork struct {
	mu    sync.Mutex
	names []lateName
	modes []lateMode
	attrs []lateAttrs
	// opened are folders that existed and get their modes back
	opened []openedUp
	// folders of the snapshot that were made on the way to a path, each after the one above it
	folders    []lateFolder
	folderLock sync.Mutex
}

// lateName is a name of a link group whose stored file is damaged; another name of the group may be stored elsewhere.
type lateName struct {
	dir   *dir
	entry index.Entry
	group *linkGroup
	err   error
}

// maxLate bounds the names kept; the ones beyond it fail at once.
const maxLate = 10_000

func (r *run) tryLate(d *dir, e *index.Entry, group *linkGroup, err error) error {
	r.late.mu.Lock()
	full := len(r.late.names) >= maxLate
	if !full {
		kept := *e
		kept.Name = strings.Clone(e.Name)
		kept.Target = ""
		r.late.names = append(r.late.names, lateName{d, kept, group, err})
	}
	r.late.mu.Unlock()
	if full || r.ends(err) {
		return r.failed(d, e, err)
	}
	return nil
}

// linkLate links names whose own stored file is damaged to another name of their group, if one could be restored.
func (r *run) linkLate() error {
	w := &r.workers[0]
	for len(r.late.names) > 0 {
		n := &r.late.names[0]
		err := n.err
		if n.group.dir != nil {
			var linked bool
			if linked, err = r.linkIntoLeft(w, n); linked {
				w.counts.Files++
				w.counts.Linked++
				r.told(n.dir, &n.entry, tree.Linked)
			} else {
				err = errors.Join(n.err, err)
			}
		}
		if err != nil {
			if err := r.failed(n.dir, &n.entry, err); err != nil {
				return err
			}
		}
		r.late.names = r.late.names[1:]
	}
	return nil
}

// linkIntoLeft makes a name in a directory that has its metadata already, and gives that its time again.
func (r *run) linkIntoLeft(w *worker, n *lateName) (linked bool, err error) {
	to, err := openAgain(n.dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, fsat.Close(to)) }()
	from, err := w.folders.Get(n.group.dir)
	if err != nil {
		return false, err
	}
	if linked, err = r.link(from, n.group, n.dir, to, n.entry.Name); err != nil || !linked {
		return linked, err
	}
	return linked, n.dir.keepTime(to)
}

// lateMode is the mode of a directory that could not be worked with once it had it.
type lateMode struct {
	dir  *dir
	mode uint32
}

func (l *lateWork) closeMode(d *dir, mode uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.modes = append(l.modes, lateMode{d, mode})
}

// closeModes sets those modes, in the order in which the directories were left: what is in one comes before it.
func (r *run) closeModes() error {
	for _, m := range r.late.modes {
		if m.dir == r.top && r.swap != nil && !r.swap.done {
			continue // after the exchange, when the note can go
		}
		if m.dir == r.top {
			if err := r.endNote(); err != nil {
				return err
			}
		}
		if err := closeMode(m); err != nil {
			return err
		}
	}
	return nil
}

func closeMode(m lateMode) (err error) {
	fd, err := openAgain(m.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := fsat.Chmod(fd, m.mode); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set mode of %q: %w", m.dir.Path(), err)
	}
	return nil
}
