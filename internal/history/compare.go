package history

import (
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/lookup"
	"snapcopy/internal/pair"
	"snapcopy/internal/tree"
)

// Kind is the kind of a difference between two snapshots.
type Kind string

// The kinds of change.
const (
	Added       Kind = "added"
	Removed     Kind = "removed"
	Changed     Kind = "changed"      // the content: bytes, link target or device number
	Metadata    Kind = "metadata"     // nothing else than metadata
	Moved       Kind = "moved"        // a regular file whose content had another path before
	TypeChanged Kind = "type_changed" // it was another kind of file
)

// Change is one difference. Old and New are valid until the visit function returns.
type Change struct {
	Path string // in the new snapshot; of a removed entry, in the old one
	Kind Kind
	From string       // Moved: the path in the old snapshot
	Old  *index.Entry // nil: Added
	New  *index.Entry // nil: Removed
	// Fields names the metadata that differ, for all kinds with Old and New: some of "mode", "owner", "mtime",
	// "xattrs", "attributes" (those of chattr) and "links", in this order.
	Fields []string
}

// Compare calls visit for every difference between two catalogs at path and below it, elements joined by '/', "" for
// everything. The order is that of the paths, element by element and bytewise, each folder before its entries. An
// entry that replaces a folder comes before the removed entries of that folder. All entries of an added or removed
// folder are reported with it.
//
// A folder counts as changed only if its own metadata did: its time mostly changes with its entries. Folders that are
// equal in both catalogs are skipped with everything below, so the work depends on the changes and not on the size. Only
// if a hard link that is compared has another inode number, and other names in such folders, they are read, too.
//
// A name that has left its link group for another one differs in its links, also if both groups have as many names as
// before. So a folder is not skipped if its time tells that names were made or removed in it.
//
// A regular file that is not empty, and whose content is gone from one path and new at another, is reported as moved.
// Each removed file is paired with one added file at most; among several with the same content, equal names go first,
// then the order of the paths. Beyond a million added and removed files, further ones are reported as added and
// removed.
//
// An error of visit ends the comparison and is returned. If path is in neither catalog, the error is a
// *[lookup.NotFoundError].
func Compare(old, new *index.Catalog, path string, visit func(Change) error) error {
	path = index.CleanPath(path)
	start := sides{folder: index.FolderOf(path)}
	var err error
	if start.old, start.oldAt, err = locate(old, path); err != nil {
		return err
	}
	if start.new, start.newAt, err = locate(new, path); err != nil {
		return err
	}
	if start.old == nil && start.new == nil {
		return lookup.NotFound(new, path, path)
	}
	c := comparison{old: old, new: new}
	if err := c.findMoves(start); err != nil {
		return err
	}
	if err := c.lookForGroups(start); err != nil {
		return err
	}
	c.visit = visit
	return c.compare(start)
}

// locate looks up a path; the entry is nil if the catalog has none.
func locate(c *index.Catalog, path string) (*index.Entry, place, error) {
	if path == "" {
		root := c.Root()
		return &root, place{}, nil
	}
	folder, ok, err := c.Lookup(index.FolderOf(path))
	if err != nil || !ok || folder.Type != index.Dir {
		return nil, place{}, err
	}
	rec, err := c.ReadDir(folder.Child)
	if err != nil {
		return nil, place{}, err
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i, e := range rec.Entries() {
		if e.Name == name {
			return e, place{rec.ID(), uint32(i)}, nil
		}
	}
	return nil, place{}, nil
}

// comparison is the state of one Compare. It runs twice if moves are possible: first to collect them, without visits,
// and then to visit.
type comparison struct {
	old, new *index.Catalog
	visit    func(Change) error
	moves    moves
	groups   linkGroups
	finding  bool
}

// sides are the entries of one name in the two catalogs; at least one is not nil.
type sides struct {
	folder   string
	old, new *index.Entry // nil: not there
	oldAt    place
	newAt    place
}

func (p *sides) path() string {
	if p.new != nil {
		return index.Join(p.folder, p.new.Name)
	}
	return index.Join(p.folder, p.old.Name)
}

// place is the position of an entry in its catalog, or that of a change among [changes].
type place struct {
	dir index.DirID
	pos uint32
}

// compare reports the differences of one name and of everything below it.
func (c *comparison) compare(p sides) error {
	switch {
	case (p.new == nil || p.old == nil) && c.groups.looking:
		return nil
	case p.new == nil:
		if err := c.removed(&p); err != nil {
			return err
		}
	case p.old == nil:
		if err := c.added(&p); err != nil {
			return err
		}
	default:
		if err := c.both(&p); err != nil {
			return err
		}
		if p.old.Type == index.Dir && p.new.Type == index.Dir && p.old.Hash == p.new.Hash && !remade(p.old, p.new) {
			end := c.enterEqual()
			if end == nil {
				return nil
			}
			defer end()
		}
	}
	return c.below(&p)
}

// remade reports whether names may have been made or removed in a folder whose entries are equal: a name of a link group
// can have become one of another group. Change times mean nothing between two inodes.
func remade(old, new *index.Entry) bool {
	differ := tree.Diff(old, new)
	return differ&tree.Mtime != 0 || differ&(tree.Ctime|tree.Ino) == tree.Ctime
}

// both compares the two entries of one name, without the entries below.
func (c *comparison) both(p *sides) error {
	if c.finding || c.groups.looking {
		c.groups.meet(p.old, p.new)
		if p.old.Type != p.new.Type && c.finding { // the file may have been moved elsewhere
			c.moves.addRemoved(p.old, p.oldAt)
		}
		return nil
	}
	kind, differ := kindOf(p.old, p.new)
	if c.groups.differ(p.old, p.new) {
		differ |= tree.Nlink
		if kind == "" {
			kind = Metadata
		}
	}
	if kind == "" {
		return nil
	}
	return c.visit(Change{Path: p.path(), Kind: kind, Old: p.old, New: p.new, Fields: differ.Names()})
}

func (c *comparison) removed(p *sides) error {
	if c.finding {
		c.moves.addRemoved(p.old, p.oldAt)
		return nil
	}
	if p.old.Type == index.File && c.moves.isGone(p.oldAt) {
		return nil
	}
	return c.visit(Change{Path: p.path(), Kind: Removed, Old: p.old})
}

func (c *comparison) added(p *sides) error {
	if c.finding {
		c.moves.addAdded(p.new, p.newAt)
		return nil
	}
	if p.new.Type == index.File {
		if from, ok := c.moves.cameFrom(p.newAt); ok {
			return c.moved(p, from)
		}
	}
	return c.visit(Change{Path: p.path(), Kind: Added, New: p.new})
}

func (c *comparison) moved(p *sides, from place) error {
	was, ok, err := c.old.At(from.dir, from.pos)
	if err != nil {
		return err
	}
	if !ok {
		return &fs.PathError{Op: "look up", Path: p.path(), Err: index.ErrDamaged}
	}
	dir, err := c.old.Path(from.dir)
	if err != nil {
		return err
	}
	return c.visit(Change{Path: p.path(), Kind: Moved, From: index.Join(dir, was.Name), Old: &was, New: p.new,
		Fields: tree.Diff(&was, p.new).Names()})
}

// below compares the entries of two folders side by side.
func (c *comparison) below(p *sides) error {
	if !isFolder(p.old) && !isFolder(p.new) {
		return nil
	}
	a, err := openListing(c.old, p.old)
	if err != nil {
		return err
	}
	b, err := openListing(c.new, p.new)
	if err != nil {
		return err
	}
	folder := p.path()
	for was, now := range pair.Lists(a.next, b.next, index.CompareNames) {
		next := sides{folder: folder, old: was, new: now}
		if was != nil {
			next.oldAt = a.place()
		}
		if now != nil {
			next.newAt = b.place()
		}
		if err := c.compare(next); err != nil {
			return err
		}
	}
	return nil
}

func isFolder(e *index.Entry) bool { return e != nil && e.Type == index.Dir }

// listing iterates over the entries of a folder.
type listing struct {
	rec    *index.Record
	cursor index.Cursor
	entry  index.Entry
}

// openListing opens the entries of a folder; for nil or an entry of another type it returns an empty listing.
func openListing(c *index.Catalog, e *index.Entry) (l *listing, err error) {
	l = new(listing)
	if e == nil || e.Type != index.Dir {
		return l, nil
	}
	if l.rec, err = c.ReadDir(e.Child); err != nil {
		return l, err
	}
	l.cursor = l.rec.Cursor()
	return l, nil
}

// next returns the next entry, nil after the last. The following call overwrites it.
func (l *listing) next() *index.Entry {
	if !l.cursor.Next(&l.entry) {
		return nil
	}
	return &l.entry
}

// place returns the position of the entry that next returned last.
func (l *listing) place() place { return place{l.rec.ID(), uint32(l.cursor.Pos())} }

// kindOf returns the kind of difference between two entries of one path and the fields that differ; "" if they are
// equal.
func kindOf(old, new *index.Entry) (Kind, tree.Fields) {
	differ := tree.Diff(old, new)
	switch {
	case differ&tree.Type != 0:
		return TypeChanged, differ
	case old.Type != index.Dir && differ&tree.Body != 0: // the entries of a folder are compared one by one
		return Changed, differ
	case differ&tree.Metadata != 0:
		return Metadata, differ
	}
	return "", differ
}
