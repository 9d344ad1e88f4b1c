package restore

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// linkGroups are the inodes of the source with several names.
type linkGroups struct {
	tree.Links[tree.GroupKey, linkGroup]
	target *target
	fresh  bool // the target was empty

	mu   sync.Mutex
	late []lateName                     // waiting for another name of their group
	kept map[tree.InodeID]tree.GroupKey // inodes of the target equal to the snapshot's, and their groups
}

// linkGroup has the place of the first name restored.
type linkGroup struct {
	dir  *dir // folder of that name; nil: none yet
	name string
	made madeInode
	// found: the inode existed in the target, equal to the snapshot's. Otherwise this run has made it, and names are
	// its names so far.
	found bool
	names []placed
	bad   uint64 // stored inode with damaged content, not to be read again; 0: none
	err   error  // the damage of that inode
}

// claim records an inode of the target as that of the group of e, unless it is another group's.
func (g *linkGroups) claim(id tree.InodeID, e *index.Entry) bool {
	key := tree.GroupKeyOf(e)
	g.mu.Lock()
	defer g.mu.Unlock()
	if other, taken := g.kept[id]; taken && other != key {
		return false
	}
	if g.kept == nil {
		g.kept = make(map[tree.InodeID]tree.GroupKey)
	}
	g.kept[id] = key
	return true
}

func cloneName(e *index.Entry) string { return strings.Clone(e.Name) }

// restoreLinked restores one of several names of an inode: as a link to an earlier name if there is one. over
// describes the existing entry to replace, or is nil.
func (r *run) restoreLinked(w *worker, d *dir, e *index.Entry, over *fsat.Stat) error {
	key := tree.GroupKeyOf(e)
	group := r.groups.Enter(key, e.Nlink)
	defer r.groups.Leave(key, group)
	return r.restoreInGroup(w, d, e, over, &group.Value)
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
			r.groups.madeName(group, d, e)
			r.opt.Progress.Bytes.Add(tree.ContentBytes(e))
			r.told(d, e, outcome.Linked)
			return nil
		}
		apart = true // the target permits no link, or no further one: the next names are linked to this one
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
		w.counts.CatalogOnly.Links++
	}
	group.dir, group.name, group.made = d, cloneName(e), madeOf(&made)
	group.found, group.names = false, nil
	r.groups.madeName(group, d, e)
	return nil
}

// linkToGroup makes name in d a hard link to the group's inode. It returns false if the target does not permit that.
func (r *run) linkToGroup(w *worker, d *dir, name string, over *fsat.Stat, group *linkGroup) (bool, error) {
	if r.opt.DryRun {
		if over != nil {
			err := r.clearer.keepAside(w, d, name, over, true)
			return err == nil, err
		}
		return true, nil
	}
	if err := r.opener.openUp(d); err != nil {
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
		return r.groups.link(from, group, d, d.dst(), name)
	}
	if err := r.clearer.removeLeftovers(w, d); err != nil {
		return false, err
	}
	temp := w.temp(d)
	p := pending{dir: d.dst(), fd: fsat.NoDir, temp: temp}
	linked, err := r.groups.link(from, group, d, d.dst(), temp)
	if err != nil {
		return false, errors.Join(err, p.end())
	}
	if !linked {
		return false, nil
	}
	if err = r.clearer.keepAside(w, d, name, over, true); err == nil {
		if over.Type == fsat.Directory {
			err = p.publish(name)
		} else {
			err = p.replace(w, d, name)
		}
		p.temp = temp // the temporary name remains if both were names of one inode
	}
	return err == nil, errors.Join(err, p.end())
}

func (g *linkGroups) link(from int, group *linkGroup, d *dir, to int, name string) (bool, error) {
	if err := g.target.step("link"); err != nil {
		return false, fmt.Errorf("link: %w", err)
	}
	switch err := fsat.Link(from, group.name, to, name); {
	case fsat.IsLinkLimit(err) || fsat.IsRefused(err):
		return false, nil
	case err != nil:
		return false, d.refused("link", err)
	}
	// It may be another file, which has taken the place of the group's; or a file system has a number for each name,
	// or shows changes late. These cases cannot be distinguished, and a copy is always right.
	var st fsat.Stat
	if err := fsat.StatAt(to, name, &st); err == nil && madeOf(&st) == group.made {
		return true, nil
	}
	return false, unlink(to, name)
}

// madeInode identifies an inode that this run has made, also if another one has taken its place, and perhaps its
// number.
type madeInode struct {
	id       tree.InodeID
	uid, gid uint32
	size     int64
	mtime    fsat.Time
}

func madeOf(st *fsat.Stat) madeInode {
	return madeInode{tree.IDOf(st), st.UID, st.GID, st.Size, st.Mtime}
}

// lateName is a name of a link group whose stored file is damaged. Another name of the group may be stored in another
// file.
type lateName struct {
	dir   *dir
	entry index.Entry
	group *linkGroup
	err   error
}

// maxLate bounds the late names; further ones fail at once.
const maxLate = 10_000

// tryLate leaves a name to linkLate.
func (r *run) tryLate(d *dir, e *index.Entry, group *linkGroup, err error) error {
	if !r.groups.later(d, e, group, err) || r.ends(err) {
		return r.failed(d, e, err)
	}
	return nil
}

// later remembers a late name. It returns false if there are too many.
func (g *linkGroups) later(d *dir, e *index.Entry, group *linkGroup, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.late) >= maxLate {
		return false
	}
	kept := *e
	kept.Name = strings.Clone(e.Name)
	kept.Target = ""
	g.late = append(g.late, lateName{d, kept, group, err})
	return true
}

// linkLate links names whose own stored file is damaged to another name of their group, if one could be restored.
func (r *run) linkLate() error {
	w := &r.workers[0]
	for len(r.groups.late) > 0 {
		n := &r.groups.late[0]
		err := n.err
		if n.group.dir != nil {
			var linked bool
			if linked, err = r.groups.linkIntoLeft(w, n); linked {
				w.counts.Files++
				w.counts.Linked++
				r.told(n.dir, &n.entry, outcome.Linked)
			} else {
				err = errors.Join(n.err, err)
			}
		}
		if err != nil {
			if err := r.failed(n.dir, &n.entry, err); err != nil {
				return err
			}
		}
		r.groups.late = r.groups.late[1:]
	}
	return nil
}

// linkIntoLeft makes a name in a folder that already has its metadata, and resets the folder's time.
func (g *linkGroups) linkIntoLeft(w *worker, n *lateName) (linked bool, err error) {
	to, err := openAgain(n.dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, fsat.Close(to)) }()
	from, err := w.folders.Get(n.group.dir)
	if err != nil {
		return false, err
	}
	if linked, err = g.link(from, n.group, n.dir, to, n.entry.Name); err != nil || !linked {
		return linked, err
	}
	return linked, n.dir.keepTime(to)
}
