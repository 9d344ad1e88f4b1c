package snapshot

import (
	"errors"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

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

// lock returns the group of an inode, locked until Leave.
func (g *linkGroups) lock(key inodeKey, names uint32) *tree.LinkGroup[linkGroup] {
	locked := g.Enter(key, names)
	group := &locked.Value
	if !group.begun {
		group.begun, group.late = true, key.part == 0 && g.completeOn(key.dev).Has(key.ino)
	}
	return locked
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
func (s *storing) keepLinked(at slot, st *source.Stat, xattrs xattrSet) (err error) {
	defer at.w.forgetOldLooks()
	key := inodeKey{s.rec.device(at.d, st), st.Ino, st.Part}
	locked := s.groups.lock(key, st.Nlink)
	defer func() { err = s.leaveGroup(at, key, locked, err) }()
	group := &locked.Value
	if group.entry.Type != 0 {
		return s.joinGroup(at, st, group)
	}
	v, err := s.rehash(at, at.entry(), st)
	if err != nil {
		return err
	}
	linked := false
	if !v.stale {
		if linked, err = s.linkPrevious(at, at.entry(), st); err != nil {
			return err
		}
	}
	if !linked {
		err := s.beginGroup(at, st, group)
		if err == nil {
			s.tellRotten(at, v)
		}
		return err
	}
	s.keptAsWas(at, st, xattrs)
	s.tellRotten(at, v)
	s.setGroup(at, st, group)
	return nil
}

// storeLinked stores a new or changed entry whose inode has several names.
func (s *storing) storeLinked(at slot, st *source.Stat) (err error) {
	key := inodeKey{s.rec.device(at.d, st), st.Ino, st.Part}
	locked := s.groups.lock(key, st.Nlink)
	defer func() { err = s.leaveGroup(at, key, locked, err) }()
	group := &locked.Value
	if group.entry.Type != 0 {
		return s.joinGroup(at, st, group)
	}
	return s.beginGroup(at, st, group)
}

// leaveGroup unlocks a group. A name that waits to be tried again is still to come.
func (s *storing) leaveGroup(at slot, key inodeKey, locked *tree.LinkGroup[linkGroup], err error) error {
	if err = at.later(err); isLater(err) {
		locked.PutOff()
	} else {
		s.groups.Leave(key, locked)
	}
	return err
}

// beginGroup stores the first name of a group, or the first one after the stored file was full.
func (s *storing) beginGroup(at slot, st *source.Stat, group *linkGroup) error {
	ino := st.Ino
	if err := s.storeAlone(at, st); err != nil {
		return err
	}
	e := at.entry()
	switch {
	case e.Type == 0:
	case st.Ino == ino:
		s.setGroup(at, st, group)
	default: // another inode has taken the name
		at.w.markApart(e)
	}
	return nil
}

// setGroup makes the stored file of an entry that of its group. It copies the names, which are parts of whole listings
// and records.
func (s *storing) setGroup(at slot, st *source.Stat, group *linkGroup) {
	e := at.entry()
	if group.late { // the second stored file of one inode
		at.w.markApart(e)
	}
	if st.Flags&index.LinksCatalogOnly != 0 { // the snapshot being copied has the group in parts already
		at.w.catalogOnly.Links++
	}
	group.entry, group.dir, group.born = *e, at.d.sharedPath(), st.Btime
	group.entry.Name, group.entry.Target = strings.Clone(e.Name), strings.Clone(e.Target)
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

// joinGroup makes the entry a further name of the group's stored file. A file that changed since its first name was
// read stays one file in the snapshot, in its earlier state, which the source had under all names.
func (s *storing) joinGroup(at slot, st *source.Stat, group *linkGroup) error {
	if !group.sameState(st) && !group.sameInode(st) {
		if err := s.storeAlone(at, st); err != nil {
			return err
		}
		at.w.markApart(at.entry())
		return nil
	}
	was, e := *at.entry(), group.entry
	e.Name = at.name()
	e.Flags, e.AsOf = e.Flags&^index.Kept|st.Flags&index.Kept, st.AsOf
	if group.entry.Flags&index.NotStored == 0 {
		linked, err := s.linkPart(at, &e, &was, st, group)
		if err == nil && !linked {
			linked, err = s.linkToGroup(at, &was, group)
		}
		if err != nil {
			return err
		}
		if !linked {
			return s.splitGroup(at, st, group)
		}
	}
	action := changeOf(&was, &e)
	if action == New && s.pool.moved.Has(e.Stored) {
		action = Moved
	}
	*at.entry() = e
	at.w.countEntry(at.d, at.i, action, "")
	switch {
	case e.Flags&index.LinksCatalogOnly == 0:
	case group.late:
		at.w.catalogOnly.LinksChanged++
	default:
		at.w.catalogOnly.Links++
	}
	if e.Flags&index.Torn != 0 && st.Known == nil {
		at.w.fail(at.path(), errChanging)
	}
	return nil
}

// splitGroup begins a further stored file of a group whose stored file takes no further name.
func (s *storing) splitGroup(at slot, st *source.Stat, group *linkGroup) error {
	err := s.beginGroup(at, st, group)
	if isFatal(err) || errors.Is(err, errIsDir) {
		return err
	}
	if now := at.entry(); err == nil && now.Flags&index.LinksCatalogOnly == 0 {
		now.Flags |= index.LinksCatalogOnly
		at.w.catalogOnly.Links++
	}
	group.entry.Flags |= index.LinksCatalogOnly
	return err
}

// changeOf returns the difference of an entry that is now a name of a group's stored file from the previous snapshot's
// entry. Being a hard link is no difference.
func changeOf(was, e *index.Entry) Action {
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
func (s *storing) linkPart(at slot, e, was *index.Entry, st *source.Stat, group *linkGroup) (bool, error) {
	if s.caps.LinkLimit == 0 || st.Nlink <= s.caps.LinkLimit || s.caps.restat || was.Stored == group.entry.Stored ||
		changeOf(was, e) != Unchanged {
		return false, nil
	}
	var linked bool
	var err error
	if group.parts[was.Stored] {
		linked, err = s.keepName(at, was)
	} else {
		linked, err = s.linkPrevious(at, was, st)
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
func (s *storing) linkToGroup(at slot, was *index.Entry, group *linkGroup) (linked bool, err error) {
	if !s.caps.HardLinks {
		return false, nil
	}
	if was.Type != 0 && was.Stored == group.entry.Stored && at.d.previous() >= 0 && !s.caps.restat {
		if s.lookAtPrevious(at, was) {
			linked, err := s.keepName(at, was)
			if err != nil || linked || at.w.notLinked&index.WasMissing == 0 {
				return linked, err
			}
		}
		at.w.notLinked &^= index.WasMissing // the stored file has other names
	}
	err = s.mirror.In(group.dir, func(from int) (err error) {
		linked, err = at.linkMade(&group.entry, at.d.handles.dst.Link(from, group.entry.Name, at.name()))
		return err
	})
	if err != nil && !isFatal(err) {
		err = fatal("link", at.path(), err)
	}
	return linked, err
}
