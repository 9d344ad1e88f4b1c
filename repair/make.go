package repair

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
)

// maker makes new inodes in the archive's folder for repairs, under numbers for names. In a dry run it only looks whether
// it could.
type maker struct {
	*repairer
	work   int // handle of archive.RepairDir
	tree   int // handle of archive.RepairTree
	mirror *mirror.Plain
	top    mirror.Folder
	next   int
	kept   int // numbers up to this one belong to groups that are done
}

func (r *repairer) newMaker() (m *maker, err error) {
	m = &maker{repairer: r, work: fsat.NoDir, tree: fsat.NoDir}
	if r.lock == nil {
		return m, nil
	}
	return m, m.begin()
}

// begin makes the folder in which the inodes grow.
func (m *maker) begin() (err error) {
	if m.work, err = m.lock.BeginRepair(m.ctx); err != nil {
		return err
	}
	c := m.archive.Info.Capabilities
	m.mirror = mirror.NewPlain(mirror.Place{
		Root: m.archive.Root, RootPath: m.archive.Path, Work: m.work, WorkPath: m.archive.Meta.Path(archive.RepairDir),
		FileSystem: mirror.FileSystem{Symlinks: c.Symlinks, LinkMetadata: c.LinkMetadata, Specials: c.Specials, Modes: c.Modes,
			NamesKept: c.NamesKept, NeedsFsync: c.NeedsFsync},
		Fault: m.opt.Fault,
	})
	if m.top, err = m.mirror.Top(); err == nil {
		m.tree, err = fsat.OpenDir(m.work, archive.RepairTree)
	}
	if err != nil {
		return errors.Join(err, m.end())
	}
	return nil
}

// end removes what was made and not used.
func (m *maker) end() error {
	var errs []error
	if m.top != nil {
		errs = append(errs, m.top.Close())
	}
	if m.mirror != nil {
		errs = append(errs, m.mirror.Close())
	}
	for _, fd := range []int{m.tree, m.work} {
		if fd != fsat.NoDir {
			errs = append(errs, fsat.Close(fd))
		}
	}
	if m.lock != nil && m.archive.Repairing() == 0 { // otherwise the next command goes on with it
		errs = append(errs, m.lock.EndRepair())
	}
	return errors.Join(errs...)
}

func (m *maker) name() string {
	m.next++
	return strconv.Itoa(m.next)
}

// discard removes the inodes of a group that could not be finished.
func (m *maker) discard() error {
	for ; m.next > m.kept; m.next-- {
		if err := fsat.Unlink(m.tree, strconv.Itoa(m.next)); err != nil && !fsat.IsGone(err) {
			return err
		}
	}
	return nil
}

// links gives each damaged name of a group a link to the inode of a sound name.
func (m *maker) links(g *group, from Name) (list []archive.Exchange, err error) {
	if m.lock == nil {
		return nil, nil
	}
	above, leaf := splitPath(from.Path)
	dir, err := openIn(m.archive.Root, from.Snapshot, above)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	for _, w := range g.wounds {
		name := m.name()
		err := m.link(dir, leaf, name)
		if fsat.IsLinkLimit(err) || fsat.IsRefused(err) { // a new inode for all of them, then
			m.next--
			if err := m.discard(); err != nil {
				return nil, err
			}
			list, _, err = m.anew(&group{wounds: g.wounds, sources: []place{{nil, from}}})
			return apart(list, g), err // from the names that stay with the sound one
		}
		if err != nil {
			return nil, err
		}
		list = append(list, archive.Exchange{Kind: archive.Put, Snapshot: w.Snapshot, Path: []byte(w.Path), File: name})
	}
	m.kept = m.next
	return list, nil
}

// link makes a number a further name of an inode.
func (m *maker) link(dir int, leaf, name string) error {
	if m.opt.Fault != nil {
		if err := m.opt.Fault("link of a repaired file"); err != nil {
			return err
		}
	}
	return fsat.Link(dir, leaf, m.tree, name)
}

// anew makes a new inode for a group, and further ones if it cannot take all names.
func (m *maker) anew(g *group) (list []archive.Exchange, from *Origin, err error) {
	made, from, err := m.first(g)
	if err != nil || m.lock == nil {
		return nil, from, err
	}
	split := false
	for i, w := range g.wounds {
		name := made.name
		if i > 0 {
			var ok bool
			if name, ok, err = m.another(made); err == nil && !ok {
				if made, err = m.again(w, made); err == nil {
					ok, err = m.together(list, g, made)
				}
				name, split = made.name, split || !ok
			}
			if err != nil {
				return nil, nil, err
			}
		}
		list = append(list, w.exchange(name, made))
	}
	if split {
		list = apart(list, g)
	}
	m.kept = m.next
	return list, from, nil
}

// exchange puts an inode in the wound's place, which has it as a number.
func (w *wound) exchange(name string, made inode) archive.Exchange {
	return archive.Exchange{Kind: archive.Put, Snapshot: w.Snapshot, Path: []byte(w.Path), File: name,
		Record: w.native, Stored: made.e.Stored, Blocks: made.e.Blocks,
		Flags: made.e.Flags&index.CatalogOnly | w.e.Flags&index.LinksCatalogOnly}
}

// another gives a new inode one more number; ok is false if it can take no more.
func (m *maker) another(made inode) (name string, ok bool, err error) {
	name = m.name()
	err = m.link(m.tree, made.name, name)
	if fsat.IsLinkLimit(err) || fsat.IsRefused(err) {
		m.next--
		return "", false, nil
	}
	return name, err == nil, err
}

// together gives a further inode, made for the next wound of a group, to the wounds before that in the same snapshot: they
// are one link group. ok is false if it cannot take them all. Their numbers of the inode before are left over.
func (m *maker) together(list []archive.Exchange, g *group, made inode) (ok bool, err error) {
	next := g.wounds[len(list)]
	for i := len(list) - 1; i >= 0 && g.wounds[i].Snapshot == next.Snapshot; i-- {
		name, ok, err := m.another(made)
		if err != nil || !ok {
			return false, err
		}
		list[i] = g.wounds[i].exchange(name, made)
	}
	return true, nil
}

// apart marks the names of link groups that do not get one inode.
func apart(list []archive.Exchange, g *group) []archive.Exchange {
	for i := range list {
		if g.wounds[i].e.Linked() {
			list[i].Flags |= index.LinksCatalogOnly
		}
	}
	return list
}

// inode is a new inode.
type inode struct {
	name string
	e    index.Entry // as it was stored
}

// again makes a copy of an inode that can take no further name.
func (m *maker) again(w *wound, of inode) (made inode, err error) {
	if w.e.Type != index.File {
		return m.special(w)
	}
	src, err := fsat.OpenFile(m.tree, of.name)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, fsat.Close(src)) }()
	made, ok, err := m.file(w, src)
	if err == nil && !ok {
		err = fmt.Errorf("%w: the new stored file cannot be read back", ErrNoContent)
	}
	return made, err
}

// first makes the first inode of a group, from the first place that has the right content.
func (m *maker) first(g *group) (made inode, from *Origin, err error) {
	w := g.wounds[0]
	if w.e.Type != index.File {
		if m.lock != nil {
			made, err = m.special(w)
		}
		return made, &Origin{Kind: FromCatalog}, err
	}
	if w.e.Size == 0 {
		made, ok, err := m.file(w, fsat.NoDir)
		if err == nil && !ok {
			err = ErrNoContent
		}
		return made, &Origin{Kind: FromCatalog}, err
	}
	for _, w := range g.wounds {
		made, ok, err := m.fromPlace(w, place{nil, w.Name})
		if ok || err != nil {
			return made, &Origin{Kind: FromItself, Snapshot: w.Snapshot, Path: w.Path}, err
		}
	}
	for _, p := range g.sources {
		made, ok, err := m.fromPlace(w, p)
		if ok || err != nil {
			return made, p.origin(), err
		}
	}
	return m.firstFromSource(g)
}

// origin describes the place.
func (p place) origin() *Origin {
	if p.archive == nil {
		return &Origin{Kind: FromStored, Snapshot: p.Snapshot, Path: p.Path}
	}
	return &Origin{Kind: FromArchive, Archive: p.archive.Path, Snapshot: p.Snapshot, Path: p.Path}
}

// firstFromSource is first with the source's files under the names of the group.
func (m *maker) firstFromSource(g *group) (made inode, from *Origin, err error) {
	for _, w := range g.wounds {
		made, path, ok, err := m.fromSource(w)
		if ok || err != nil {
			return made, &Origin{Kind: FromSource, Path: path}, err
		}
	}
	return made, nil, ErrNoContent
}

// fromPlace makes a file from a stored file, if that has the right content.
func (m *maker) fromPlace(w *wound, p place) (made inode, ok bool, err error) {
	root := m.archive.Root
	if p.archive != nil {
		root = p.archive.Root
	}
	above, leaf := splitPath(p.Path)
	dir, err := openIn(root, p.Snapshot, above)
	if err != nil {
		return made, false, ignoreUnusable(err)
	}
	made, ok, err = m.fromFile(w, dir, leaf, p.archive == nil)
	return made, ok, errors.Join(err, fsat.Close(dir))
}

// fromSource makes a file from the source's file, if that still has the right content.
func (m *maker) fromSource(w *wound) (made inode, path string, ok bool, err error) {
	root, err := m.sourceOf(w.Snapshot)
	if root == "" || err != nil {
		return made, "", false, err
	}
	top, err := fsat.OpenRoot(root)
	if err != nil {
		return made, "", false, ignoreUnusable(err)
	}
	defer func() { err = errors.Join(err, fsat.Close(top)) }()
	above, leaf := splitPath(w.Path)
	dir, err := fsat.OpenPath(top, above)
	if err != nil {
		return made, "", false, ignoreUnusable(err)
	}
	made, ok, err = m.fromFile(w, dir, leaf, false)
	return made, filepath.Join(root, w.Path), ok, errors.Join(err, fsat.Close(dir))
}

// sourceOf returns the folder in which to look for the source's files of a snapshot; "": none is known.
func (m *maker) sourceOf(snapshot string) (root string, err error) {
	if m.opt.Source != "" {
		return m.opt.Source, nil
	}
	for _, s := range m.snapshots {
		if s.Name != snapshot {
			continue
		}
		c, err := m.openCatalog(s)
		if c == nil || err != nil {
			return "", err
		}
		sum := c.Summary()
		if host, err := os.Hostname(); err == nil && host == sum.Host && filepath.IsAbs(sum.Source) {
			root = sum.Source
		}
		return root, c.Close()
	}
	return "", nil
}

// ignoreUnusable drops the errors of a place that is only one of several to look at: it is missing, cannot be read, or
// needs other privileges.
func ignoreUnusable(err error) error {
	if err == nil || fsat.IsNoDir(err) || fsat.IsBadDisk(err) || fsat.IsRefused(err) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// fromFile makes a file from a file with a name in a folder, if that has the right content. own says that it is one of the
// archive's, whose hash may be known.
func (m *maker) fromFile(w *wound, dir int, leaf string, own bool) (made inode, ok bool, err error) {
	var st fsat.Stat
	if err := fsat.StatAt(dir, leaf, &st); err != nil {
		return made, false, ignoreUnusable(err)
	}
	if st.Type != fsat.Regular || uint64(st.Size) != w.e.Size {
		return made, false, nil
	}
	if hash, known := m.read[st.Ino]; own && known && (hash != w.e.Hash || m.lock == nil) {
		return made, hash == w.e.Hash, nil
	}
	src, err := fsat.OpenFile(dir, leaf)
	if err != nil {
		return made, false, ignoreUnusable(err)
	}
	made, ok, err = m.file(w, src)
	return made, ok, errors.Join(err, fsat.Close(src))
}

// special makes an entry that is neither a file nor a folder.
func (m *maker) special(w *wound) (made inode, err error) {
	made = inode{name: m.name(), e: w.e}
	made.e.Name, made.e.Flags = made.name, made.e.Flags&^index.CatalogOnly
	lost, err := m.top.MakeSpecial(&made.e, w.set)
	if err == nil {
		err = notSet(lost)
	}
	if err == nil && made.e.Flags&index.NotStored != 0 {
		err = fmt.Errorf("%w: a %s", ErrCannotMake, w.e.Type)
	}
	return made, err
}

// file makes a file with the content of src (fsat.NoDir: without content), which is hashed on the way. ok is false if it
// does not have the recorded hash, or cannot be read: then nothing was made. Metadata that the archive cannot take now are
// flagged in the entry.
func (m *maker) file(w *wound, src int) (made inode, ok bool, err error) {
	var st fsat.Stat
	if src != fsat.NoDir {
		if err := fsat.StatHandle(src, &st); err != nil {
			return made, false, err
		}
	}
	if m.lock == nil {
		return made, src == fsat.NoDir || m.hasContent(w, src, &st), m.ctx.Err()
	}
	made = inode{name: m.name(), e: w.e}
	made.e.Name, made.e.Flags = made.name, made.e.Flags&^index.CatalogOnly
	f, err := m.top.Create(&made.e, w.set)
	if err != nil {
		return made, false, err
	}
	ok, err = m.fill(f, w, src, &st)
	if ok {
		var lost error
		if lost, err = f.Finish(&made.e, w.set); err == nil {
			err = notSet(lost)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil || ok {
		return made, ok, err
	}
	err = m.top.Remove(made.name)
	m.next--
	return made, false, err
}

// notSet returns the error for metadata that another attempt may be able to set: an inode without them repairs nothing.
func notSet(lost error) error {
	if lost == nil {
		return nil
	}
	return fmt.Errorf("set its extended attributes: %w", errors.Unwrap(lost))
}

// hasContent reports whether an open file has the recorded content.
func (m *maker) hasContent(w *wound, src int, st *fsat.Stat) bool {
	n, hash, err := m.copier.Copy(m.ctx, filecopy.NoFile, src, st.Size, isSparse(st))
	return err == nil && uint64(n) == w.e.Size && hash == w.e.Hash
}

func isSparse(st *fsat.Stat) bool { return st.Blocks*512 < st.Size }

// fill gives a new file its content.
func (m *maker) fill(f mirror.File, w *wound, src int, st *fsat.Stat) (ok bool, err error) {
	dst, err := f.Writable()
	if err != nil {
		return false, err
	}
	from, to := src, dst
	if src == fsat.NoDir || fsat.Clone(dst, src) == nil {
		from, to = dst, filecopy.NoFile
	}
	n, hash, err := m.copier.Copy(m.ctx, to, from, st.Size, isSparse(st))
	if err != nil {
		return false, m.notSource(err)
	}
	if uint64(n) != w.e.Size || hash != w.e.Hash {
		return false, nil
	}
	m.report.Bytes += uint64(n)
	return true, nil
}

// notSource drops an error of reading the source of content: another place may have it.
func (m *maker) notSource(err error) error {
	var write *filecopy.WriteError
	if err == nil || m.ctx.Err() != nil || errors.As(err, &write) {
		return err
	}
	return nil
}

// finish makes the new inodes durable, and completes the exchanges with the numbers of blocks that they have on the disk.
func (m *maker) finish(list []archive.Exchange) error {
	if err := m.mirror.Sync(); err != nil {
		return err
	}
	if m.archive.Info.Capabilities.NeedsFsync {
		if err := errors.Join(fsat.Sync(m.tree), fsat.Sync(m.work)); err != nil {
			return err
		}
	}
	for i := range list {
		x := &list[i]
		if x.Kind != archive.Put {
			continue
		}
		var st fsat.Stat
		if err := fsat.StatAt(m.tree, x.File, &st); err != nil {
			return fmt.Errorf("look at a new stored file: %w", err)
		}
		if x.Stored = st.Ino; x.Record {
			x.Blocks = uint64(st.Blocks)
			delete(m.read, st.Ino) // the number may be that of a stored file that is gone
		}
	}
	m.kept = m.next
	return nil
}
