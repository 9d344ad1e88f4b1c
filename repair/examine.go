package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// wound is a name that differs from its entry.
type wound struct {
	Name
	e     index.Entry
	set   []index.Xattr
	found string
	// native says that the stored inode in the entry is one of the archive's file system.
	native bool
	// fresh says that it needs an inode of its own, although the recorded one may exist.
	fresh   bool
	missing bool // a folder that does not exist
}

// groupKey identifies the names that have one stored file, by their records.
type groupKey struct {
	anchor, stored uint64
	hash           index.Hash
	meta           uint32
	kind           index.Type
	fresh          bool
	name           Name // if the stored inode is not known
}

// group is a stored file with its damaged names.
type group struct {
	wounds  []*wound
	holders []Name  // names in snapshots with the same record, which were not found damaged
	sources []place // of content with the right hash
}

// place is a name of a stored file, in this archive (nil) or in another one.
type place struct {
	archive *archive.Archive
	Name
}

func keyOf(anchor uint64, w *wound) groupKey {
	k := groupKey{anchor: anchor, stored: w.e.Stored, hash: w.e.Hash, meta: index.MetaFingerprint(&w.e), kind: w.e.Type, fresh: w.fresh}
	if k.stored == 0 {
		k.name = w.Name
	}
	return k
}

// view is a snapshot with its catalog, while names of it are looked at.
type view struct {
	archive.Snapshot
	catalog *index.Catalog
	native  bool
}

func (r *repairer) view(s archive.Snapshot) (*view, error) {
	c, err := r.openCatalog(s)
	if c == nil || err != nil {
		return nil, err
	}
	return &view{s, c, c.Summary().Anchor == r.archive.Anchor}, nil
}

// examineAll looks at all suspects again.
func (r *repairer) examineAll() error {
	bySnapshot := make(map[string][]Suspect)
	for _, s := range r.opt.Suspects {
		bySnapshot[s.Snapshot] = append(bySnapshot[s.Snapshot], s)
	}
	for _, s := range r.snapshots {
		list := bySnapshot[s.Name]
		if len(list) == 0 {
			continue
		}
		v, err := r.view(s)
		if v == nil && err == nil { // its catalog is damaged; that is an item of its own
			continue
		}
		if err == nil {
			err = errors.Join(r.examineIn(v, list), v.catalog.Close())
		}
		if err != nil {
			return fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
	}
	return nil
}

// examineIn looks at the suspects of one snapshot.
func (r *repairer) examineIn(v *view, list []Suspect) error {
	linked := make(map[linkKey]bool)
	for _, s := range list {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		e, found, err := v.catalog.Lookup(s.Path)
		if err != nil {
			return err
		}
		if !found {
			if err := r.examineExtra(v, s); err != nil {
				return err
			}
			continue
		}
		if s.Links && e.Linked() {
			linked[linkKeyOf(&e)] = true
			continue
		}
		if err := r.examine(v, s.Path, &e, s.Links); err != nil {
			return err
		}
	}
	if len(linked) == 0 {
		return nil
	}
	return v.catalog.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if !e.Linked() || !linked[linkKeyOf(e)] {
			return nil
		}
		return r.examine(v, index.Join(dir, e.Name), e, true)
	})
}

// linkKey identifies a link group of a snapshot.
type linkKey struct {
	device uint32
	ino    uint64
}

func linkKeyOf(e *index.Entry) linkKey { return linkKey{e.Dev, e.Ino} }

// examineExtra looks for a name that the catalog does not contain.
func (r *repairer) examineExtra(v *view, s Suspect) error {
	above, leaf := splitPath(s.Path)
	dir, err := openIn(r.archive.Root, v.Name, above)
	if err != nil {
		if fsat.IsNoDir(err) {
			r.report.Sound++
			return nil
		}
		return err
	}
	var st fsat.Stat
	switch err := errors.Join(fsat.StatAt(dir, leaf, &st), fsat.Close(dir)); {
	case fsat.IsGone(err):
		r.report.Sound++
	case err != nil:
		return err
	default:
		r.extras = append(r.extras, Name{v.Name, s.Path})
	}
	return nil
}

// examine compares one entry with its record, and remembers a wound.
func (r *repairer) examine(v *view, path string, e *index.Entry, links bool) error {
	if e.Flags&index.NotStored != 0 {
		return nil
	}
	w, err := r.newWound(v, path, e)
	if err != nil {
		return err
	}
	if w.found, err = r.differs(w, links); err != nil {
		return err
	}
	if w.found == "" {
		r.report.Sound++
		return nil
	}
	if e.Type != index.Dir {
		r.add(v, w)
		return nil
	}
	r.folders = append(r.folders, w)
	if !w.missing {
		return nil
	}
	rec, err := v.catalog.ReadDir(e.Child)
	if err != nil {
		return err
	}
	for _, child := range rec.Entries() {
		if err := r.examine(v, index.Join(path, child.Name), child, false); err != nil {
			return err
		}
	}
	return nil
}

// newWound copies the entry, whose names are views of a record.
func (r *repairer) newWound(v *view, path string, e *index.Entry) (*wound, error) {
	set, err := v.catalog.Xattrs(e.Xattrs)
	if err != nil {
		return nil, err
	}
	w := &wound{Name: Name{v.Name, strings.Clone(path)}, e: *e, set: set, native: v.native}
	w.e.Name, w.e.Target = strings.Clone(e.Name), strings.Clone(e.Target)
	return w, nil
}

// add puts a wound into its group.
func (r *repairer) add(v *view, w *wound) {
	key := keyOf(v.catalog.Summary().Anchor, w)
	g := r.groups[key]
	if g == nil {
		g = new(group)
		r.groups[key] = g
	}
	if !slices.ContainsFunc(g.wounds, func(other *wound) bool { return other.Name == w.Name }) {
		g.wounds = append(g.wounds, w)
	}
}

// differs returns words for the difference of a name from its entry, or "". With links it also compares the inode with
// the recorded one.
func (r *repairer) differs(w *wound, links bool) (found string, err error) {
	above, leaf := splitPath(w.Path)
	if w.Path == "" {
		leaf = "."
	}
	dir, err := openIn(r.archive.Root, w.Snapshot, above)
	if err != nil {
		w.missing = fsat.IsNoDir(err)
		return damageOf("open its folder", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	var st fsat.Stat
	if err := fsat.StatAt(dir, leaf, &st); err != nil {
		w.missing = fsat.IsGone(err)
		return damageOf("stat", err)
	}
	if tree.TypeOf(st.Type) != w.e.Type {
		w.missing = true
		return strings.Join(tree.Differences(&w.e, &st), "; "), nil
	}
	var list []string
	for _, look := range []func(int, string, *fsat.Stat) (string, error){
		func(int, string, *fsat.Stat) (string, error) {
			return strings.Join(tree.Differences(&w.e, &st), "; "), nil
		},
		w.targetDiffers, r.xattrsDiffer(w), r.contentDiffers(w),
	} {
		text, err := look(dir, leaf, &st)
		if err != nil {
			return "", err
		}
		if text != "" {
			list = append(list, text)
		}
	}
	if links && len(list) == 0 {
		list = w.linksDiffer(&st)
	}
	return strings.Join(list, "; "), nil
}

// linksDiffer compares the inode with the recorded one. The inode numbers of an archive that was copied prove nothing: all
// names of the group get one inode then.
func (w *wound) linksDiffer(st *fsat.Stat) []string {
	switch {
	case w.e.Linked() && w.native && st.Ino == w.e.Stored:
		return nil
	case w.e.Linked():
		return []string{tree.ErrParted.Error()}
	}
	w.fresh = !w.native || st.Ino == w.e.Stored
	return []string{tree.ErrShared.Error()}
}

func (w *wound) targetDiffers(dir int, leaf string, st *fsat.Stat) (string, error) {
	if w.e.Type != index.Symlink {
		return "", nil
	}
	target, err := fsat.Readlink(dir, leaf, st.Size)
	if err != nil {
		return damageOf("read link", err)
	}
	if target != w.e.Target {
		return fmt.Sprintf("points to %q, was %q", target, w.e.Target), nil
	}
	return "", nil
}

func (r *repairer) xattrsDiffer(w *wound) func(int, string, *fsat.Stat) (string, error) {
	return func(dir int, leaf string, _ *fsat.Stat) (string, error) {
		if w.e.Flags&index.XattrsCatalogOnly != 0 {
			return "", nil
		}
		var have []fsat.Xattr
		var err error
		if w.e.Type == index.Dir {
			have, err = folderXattrs(dir, leaf)
		} else {
			have, err = fsat.XattrsAt(dir, leaf)
		}
		if err != nil {
			return damageOf("read extended attributes", err)
		}
		if index.HashXattrs(have) == w.e.XattrHash {
			return "", nil
		}
		return tree.XattrDifference(have, w.set, r.root), nil
	}
}

func folderXattrs(dir int, leaf string) (set []fsat.Xattr, err error) {
	fd, err := fsat.OpenDir(dir, leaf)
	if err != nil {
		return nil, err
	}
	set, err = fsat.Xattrs(fd)
	return set, errors.Join(err, fsat.Close(fd))
}

func (r *repairer) contentDiffers(w *wound) func(int, string, *fsat.Stat) (string, error) {
	return func(dir int, leaf string, st *fsat.Stat) (string, error) {
		if w.e.Type != index.File || uint64(st.Size) != w.e.Size {
			return "", nil // the size is told already
		}
		hash, err := r.hashOf(dir, leaf, st)
		if err != nil {
			return "", err
		}
		switch hash {
		case w.e.Hash:
			return "", nil
		case index.Hash{}:
			return "its content cannot be read", nil
		}
		return fmt.Sprintf("content differs: hash %x, was %x", hash, w.e.Hash), nil
	}
}

// hashOf returns the hash of a stored file's content; zero: the disk does not return it. Each stored file is read once.
func (r *repairer) hashOf(dir int, leaf string, st *fsat.Stat) (hash index.Hash, err error) {
	if hash, ok := r.read[st.Ino]; ok {
		return hash, nil
	}
	fd, err := fsat.OpenFile(dir, leaf)
	if err != nil {
		return hash, notBadDisk(err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	_, hash, err = r.copier.Copy(r.ctx, filecopy.NoFile, fd, st.Size, st.Blocks*512 < st.Size)
	if err != nil {
		hash = index.Hash{}
		if err = notBadDisk(err); err != nil {
			return hash, err
		}
	}
	r.read[st.Ino] = hash
	return hash, nil
}

// notBadDisk drops the error of a disk that fails.
func notBadDisk(err error) error {
	if fsat.IsBadDisk(err) {
		return nil
	}
	return err
}

// damageOf returns words for a failed call that proves damage; any other failure is an error.
func damageOf(op string, err error) (string, error) {
	switch {
	case fsat.IsGone(err):
		return "it is missing", nil
	case fsat.IsOtherType(err):
		return "something else has taken its place", nil
	case fsat.IsBadDisk(err):
		return "the disk or its file system fails: " + op + ": " + err.Error(), nil
	}
	return "", fmt.Errorf("%s: %w", op, err)
}
