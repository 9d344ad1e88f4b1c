package snapshot

import (
	"errors"
	"io/fs"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// linkPrevious makes the entry a link to the previous snapshot's file of the same name. It returns false if that is
// impossible: another file of this snapshot uses that inode, the inode is gone, or it can take no further name. names
// is the number of names of the source's inode.
func (s *storing) linkPrevious(w *worker, d *dir, i int, was *index.Entry, names uint32) (bool, error) {
	if was.Flags&index.NotStored != 0 || !s.caps.HardLinks {
		return false, nil
	}
	if names >= largeGroup && s.caps.LinkLimit != 0 && d.previous() >= 0 {
		var stored fsat.Stat
		if fsat.StatAt(d.previous(), was.Name, &stored) == nil && !s.caps.roomFor(names, &stored) {
			w.isFull()
			return false, nil
		}
	}
	if w.notLinked&index.WasMissing != 0 { // that was found out before
		return false, nil
	}
	if d.previous() < 0 {
		w.isMissing()
		return false, nil
	}
	if !s.lookAtPrevious(w, d, was) || !s.pool.used.Claim(was.Stored) {
		return false, nil
	}
	return s.keepName(w, d, was)
}

// nameOf records in e, a name just made in the mirror of d, the stored file it is a name of.
func (s *storing) nameOf(d *dir, e, stored *index.Entry) error {
	e.Stored, e.Blocks = stored.Stored, stored.Blocks
	if !s.caps.restat {
		return nil
	}
	if err := d.handles.dst.Locate(e); err != nil {
		return notMirrored(d.child(e.Name), err)
	}
	return nil
}

// keepName makes the entry's name in the mirror of d a link to the stored file that it has in the previous snapshot.
func (s *storing) keepName(w *worker, d *dir, was *index.Entry) (bool, error) {
	linked, err := w.linked(d, was.Name, was, d.handles.dst.Keep(was.Name))
	if w.notLinked&index.WasMissing != 0 {
		s.isLost(w, d, was.Name, fs.ErrNotExist)
	}
	return linked, err
}

// linked reports whether a link was made, from the error of the attempt. If a copy has to do, it records the reason.
// stored is the entry of the stored file.
func (w *worker) linked(d *dir, name string, stored *index.Entry, err error) (bool, error) {
	switch {
	case err == nil:
		if stored.Type == index.File {
			w.counts.BytesLinked += stored.Size
		}
		return true, nil
	case fsat.IsLinkLimit(err):
		w.isFull()
		return false, nil
	case fsat.IsGone(err):
		w.isMissing()
		return false, nil
	case fsat.IsExist(err): // the name equals another one of the folder: storing reports it
		return false, nil
	case fsat.IsRefused(err): // another user's file on a system that protects those, or an immutable file
		return false, nil
	}
	return false, notMirrored(d.child(name), err)
}

// linkGroups are the inodes of the source with several names.
type linkGroups struct {
	tree.Links[inodeKey, linkGroup]
	mu sync.Mutex
	// complete has the inodes, by device, of which all names were seen, by the link count at the first one. A further
	// name was linked meanwhile, and the group's stored file is already forgotten.
	complete map[uint32]*inodeset.Set
}

type inodeKey struct {
	dev  uint32
	ino  uint64
	part uint64 // source.Stat.Part
}

// linkGroup has the stored file of such an inode.
type linkGroup struct {
	entry index.Entry
	dir   string    // folder of the stored file, below the top of the mirror; entry.Type 0: not stored yet
	born  fsat.Time // of the inode; zero if the file system has no creation time
	begun bool      // it has been entered, and late is known
	late  bool      // other names of the inode have another stored file
	// parts are the stored files of the previous snapshot to which names of this group are linked, if the group is too
	// large for one inode. nil: none yet.
	parts map[uint64]bool
}

func (g *linkGroups) init() {
	g.Forgets = func(key inodeKey) {
		if key.part == 0 {
			g.completeOn(key.dev).Claim(key.ino)
		}
	}
}

// enter returns the group of an inode, locked until leave is called.
func (g *linkGroups) enter(key inodeKey, names uint32) (group *linkGroup, leave func()) {
	entered := g.Enter(key, names)
	group = &entered.Value
	if !group.begun {
		group.begun, group.late = true, key.part == 0 && g.completeOn(key.dev).Has(key.ino)
	}
	return group, func() { g.Leave(key, entered) }
}

func (g *linkGroups) completeOn(dev uint32) *inodeset.Set {
	g.mu.Lock()
	defer g.mu.Unlock()
	complete := g.complete[dev]
	if complete == nil {
		if g.complete == nil {
			g.complete = make(map[uint32]*inodeset.Set)
		}
		complete = new(inodeset.Set)
		g.complete[dev] = complete
	}
	return complete
}

// keepLinked keeps an unchanged entry whose inode has several names.
func (s *storing) keepLinked(w *worker, d *dir, i int, st *source.Stat, xattrs xattrSet) error {
	defer w.forgetOldLooks()
	group, leave := s.groups.enter(inodeKey{s.rec.device(d, st), st.Ino, st.Part}, st.Nlink)
	defer leave()
	if group.entry.Type != 0 {
		return s.joinGroup(w, d, i, st, group)
	}
	linked, err := s.linkPrevious(w, d, i, &d.entries[i], st.Nlink)
	if err != nil {
		return err
	}
	if !linked {
		return s.foundGroup(w, d, i, st, group)
	}
	s.keptAsWas(w, d, i, st, xattrs)
	w.markLate(group, &d.entries[i])
	w.countPart(st)
	group.set(d, &d.entries[i], st)
	return nil
}

// countPart counts the first name of a part of a link group that was in parts already in the snapshot being copied.
func (w *worker) countPart(st *source.Stat) {
	if st.Flags&index.LinksCatalogOnly != 0 {
		w.catalogOnly.Links++
	}
}

// storeLinked stores a new or changed entry whose inode has several names.
func (s *storing) storeLinked(w *worker, d *dir, i int, st *source.Stat) error {
	group, leave := s.groups.enter(inodeKey{s.rec.device(d, st), st.Ino, st.Part}, st.Nlink)
	defer leave()
	if group.entry.Type != 0 {
		return s.joinGroup(w, d, i, st, group)
	}
	return s.foundGroup(w, d, i, st, group)
}

// foundGroup stores the first name of a group, or the first one after the stored file was full.
func (s *storing) foundGroup(w *worker, d *dir, i int, st *source.Stat, group *linkGroup) error {
	ino := st.Ino
	if err := s.storeOne(w, d, i, st); err != nil {
		return err
	}
	e := &d.entries[i]
	switch {
	case e.Type == 0:
	case st.Ino == ino:
		w.markLate(group, e)
		w.countPart(st)
		group.set(d, e, st)
	default: // another inode has taken the name
		w.markApart(e)
	}
	return nil
}

// storeApart stores an entry separately, although its inode may have other names.
func (s *storing) storeApart(w *worker, d *dir, i int, st *source.Stat) error {
	if err := s.storeOne(w, d, i, st); err != nil {
		return err
	}
	w.markApart(&d.entries[i])
	return nil
}

// markLate marks the entry that begins a second stored file of one inode.
func (w *worker) markLate(group *linkGroup, e *index.Entry) {
	if group.late {
		w.markApart(e)
	}
}

// markApart marks an entry that does not share its stored file with the other names of its inode, if it has any,
// because they changed during the run.
func (w *worker) markApart(e *index.Entry) {
	if e.Type != 0 && e.Linked() && e.Flags&index.LinksCatalogOnly == 0 {
		e.Flags |= index.LinksCatalogOnly
		w.catalogOnly.LinksChanged++
	}
}

// sameState reports whether an inode is unchanged since the group's first name was stored. Its change time may differ:
// every name made or removed moves it.
func (g *linkGroup) sameState(st *source.Stat) bool {
	return tree.DiffStat(&g.entry, &st.Stat)&(tree.Version&^tree.Ctime&^tree.Ino) == 0 && asKnown(&g.entry, st)
}

// sameInode reports whether st is of the inode whose first name was stored, whatever its content now. The number alone
// does not prove it: another inode could have it by now.
func (g *linkGroup) sameInode(st *source.Stat) bool {
	return st.Btime != (fsat.Time{}) && st.Btime == g.born && g.entry.Type == tree.TypeOf(st.Type)
}

// set records the group's stored file. It copies the names, which are parts of whole listings and records.
func (g *linkGroup) set(d *dir, e *index.Entry, st *source.Stat) {
	g.entry, g.dir, g.born = *e, d.sharedPath(), st.Btime
	g.entry.Name, g.entry.Target = strings.Clone(e.Name), strings.Clone(e.Target)
}

// joinGroup makes the entry a further name of the group's stored file. A file that changed since its first name was
// read stays one file in the snapshot, in its earlier state, which the source had under all names.
func (s *storing) joinGroup(w *worker, d *dir, i int, st *source.Stat, group *linkGroup) error {
	was := d.entries[i]
	name := d.names[i].Name
	if !group.sameState(st) && !group.sameInode(st) {
		return s.storeApart(w, d, i, st)
	}
	e := group.entry
	e.Name = name
	if group.entry.Flags&index.NotStored == 0 {
		linked, err := s.linkPart(w, d, i, &e, &was, st, group)
		if err == nil && !linked {
			linked, err = s.linkToGroup(w, d, name, &was, group)
		}
		if err != nil {
			return err
		}
		if !linked {
			return s.splitGroup(w, d, i, st, group)
		}
	}
	action := joined(&was, &e)
	if action == New && s.pool.moved.Has(e.Stored) {
		action = Moved
	}
	d.entries[i] = e
	w.countEntry(d, i, action, "")
	switch {
	case e.Flags&index.LinksCatalogOnly == 0:
	case group.late:
		w.catalogOnly.LinksChanged++
	default:
		w.catalogOnly.Links++
	}
	if e.Flags&index.Torn != 0 && st.Known == nil {
		w.fail(d.child(name), errChanging)
	}
	return nil
}

// splitGroup begins a further stored file of a group whose stored file takes no further name.
func (s *storing) splitGroup(w *worker, d *dir, i int, st *source.Stat, group *linkGroup) error {
	err := s.foundGroup(w, d, i, st, group)
	if isFatal(err) || errors.Is(err, errIsDir) {
		return err
	}
	if now := &d.entries[i]; err == nil && now.Flags&index.LinksCatalogOnly == 0 {
		now.Flags |= index.LinksCatalogOnly
		w.catalogOnly.Links++
	}
	group.entry.Flags |= index.LinksCatalogOnly
	return err
}

// joined returns the difference of an entry that is now a name of a group's stored file from the previous snapshot's
// entry. Being a hard link is no difference.
func joined(was, e *index.Entry) Action {
	differ := tree.Diff(was, e)
	switch {
	case was.Type == 0:
		return New
	case differ&(tree.Type|tree.Body) != 0:
		return Changed
	case differ&(tree.Metadata&^tree.Nlink) != 0:
		return MetadataChanged
	}
	return Unchanged
}

// linkPart links a name of a group that is too large for one inode to the previous snapshot's stored file of that
// name, and records that in e. So only names whose stored file is full need a new one.
func (s *storing) linkPart(w *worker, d *dir, i int, e, was *index.Entry, st *source.Stat, group *linkGroup) (bool, error) {
	if s.caps.LinkLimit == 0 || st.Nlink <= s.caps.LinkLimit || s.caps.restat || was.Stored == group.entry.Stored ||
		joined(was, e) != Unchanged {
		return false, nil
	}
	var linked bool
	var err error
	if group.parts[was.Stored] {
		linked, err = s.keepName(w, d, was)
	} else {
		linked, err = s.linkPrevious(w, d, i, was, st.Nlink)
	}
	if err != nil || !linked {
		return false, err
	}
	if group.parts == nil {
		group.parts = make(map[uint64]bool)
	}
	group.parts[was.Stored] = true
	e.Stored, e.Blocks = was.Stored, was.Blocks
	e.Flags |= index.LinksCatalogOnly
	return true, nil
}

// linkToGroup links a name to the stored file of its group. Through the previous snapshot's name for it, that needs no
// other folder.
func (s *storing) linkToGroup(w *worker, d *dir, name string, was *index.Entry, group *linkGroup) (linked bool, err error) {
	if !s.caps.HardLinks {
		return false, nil
	}
	if was.Type != 0 && was.Stored == group.entry.Stored && d.previous() >= 0 && !s.caps.restat {
		if s.lookAtPrevious(w, d, was) {
			linked, err := s.keepName(w, d, was)
			if err != nil || linked || w.notLinked&index.WasMissing == 0 {
				return linked, err
			}
		}
		w.notLinked &^= index.WasMissing // the stored file has other names
	}
	err = s.mirror.In(group.dir, func(from int) (err error) {
		linked, err = w.linked(d, name, &group.entry, d.handles.dst.Link(from, group.entry.Name, name))
		return err
	})
	if err != nil && !isFatal(err) {
		err = fatal("link", d.child(name), err)
	}
	return linked, err
}
