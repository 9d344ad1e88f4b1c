package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// ExtraDir is the folder of .snapcopy to which TakeOut moves names that a snapshot's catalog does not contain. They may be
// a person's: nothing removes them.
const ExtraDir = "extra"

// exchangeWork does exchanges.
type exchangeWork struct {
	*Locked
	ctx  context.Context
	step stepper
	list []Exchange
}

// all does all steps but the removal of the note.
func (w *exchangeWork) all() error {
	if err := w.exchangeAll(); err != nil {
		return err
	}
	of := make(map[string][]*Exchange)
	for i := range w.list {
		of[w.list[i].Snapshot] = append(of[w.list[i].Snapshot], &w.list[i])
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		err := w.inCatalog(name, func(c *index.Catalog, name string) error { return w.resetFolders(c, name, of[name]) })
		if err != nil && !isCatalogGone(err) { // verify reports a damaged catalog
			return fmt.Errorf("repair %s: %w", name, err)
		}
	}
	if err := w.step.at("sync of the exchanges"); err != nil {
		return err
	}
	if err := callFailed("sync", w.Path, fsat.SyncFS(w.Root)); err != nil {
		return err
	}
	recorded := false
	for _, name := range slices.Sorted(maps.Keys(of)) {
		changed, err := w.record(name, of[name])
		if err != nil {
			return fmt.Errorf("repair %s: %w", name, err)
		}
		recorded = recorded || changed
	}
	if !recorded {
		return nil
	}
	if err := w.step.at("content-hash index"); err != nil {
		return err
	}
	if err := w.indexAnew(w.ctx); err != nil {
		return fmt.Errorf("content-hash index: %w", err)
	}
	return nil
}

func isCatalogGone(err error) bool {
	return errors.Is(err, index.ErrDamaged) || errors.Is(err, ErrNoCatalog)
}

// exchangeAll gives each name its inode.
func (w *exchangeWork) exchangeAll() (err error) {
	ready, err := w.openReady()
	if err != nil {
		return err
	}
	if ready != fsat.NoDir {
		defer func() { err = errors.Join(err, fsat.Close(ready)) }()
	}
	for i := range w.list {
		x := &w.list[i]
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err := w.step.at("exchange"); err != nil {
			return err
		}
		if err := w.exchange(ready, x); err != nil {
			return callFailed("exchange", filepath.Join(w.Path, x.Snapshot, string(x.Path)), err)
		}
	}
	return nil
}

// openReady opens the folder of the new inodes; fsat.NoDir if there is none.
func (w *exchangeWork) openReady() (ready int, err error) {
	fd, err := fsat.OpenPath(w.Meta.fd, RepairDir+"/"+RepairTree)
	if fsat.IsNoDir(err) {
		return fsat.NoDir, nil
	}
	return fd, callFailed("open", w.Meta.Path(RepairDir, RepairTree), err)
}

func ignoreGone(err error) error {
	if fsat.IsGone(err) {
		return nil
	}
	return err
}

// exchange does one exchange. A folder that is missing was removed with its snapshot, or is damage that verify reports.
func (w *exchangeWork) exchange(ready int, x *Exchange) (err error) {
	if x.Kind == SetFolder {
		return nil // resetFolders does that
	}
	above, leaf := splitPath(string(x.Path))
	dir, err := openIn(w.Root, x.Snapshot, above)
	if fsat.IsNoDir(err) {
		x.Missed = true
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	switch x.Kind {
	case Put:
		return errors.Join(w.put(ready, dir, leaf, x), w.lookAt(dir, leaf, x))
	case PutFolder:
		return w.putFolder(dir, leaf, x)
	default:
		return w.moveAside(dir, leaf, x)
	}
}

// put renames the new inode over the name. If the new inode is not there, that was done before. Another one in its place
// is none that the repair has made.
func (w *exchangeWork) put(ready, dir int, leaf string, x *Exchange) error {
	var st fsat.Stat
	if ready == fsat.NoDir {
		return nil
	}
	if err := fsat.StatAt(ready, x.File, &st); err != nil {
		return ignoreGone(err)
	}
	if st.Ino != x.Stored {
		return nil
	}
	if err := fsat.StatAt(dir, leaf, &st); err == nil && st.Type == fsat.Directory {
		if err := w.moveAside(dir, leaf, x); err != nil {
			return err
		}
	} else if err != nil && !fsat.IsGone(err) {
		return err
	}
	err := writable(dir, func() error { return fsat.Rename(ready, x.File, dir, leaf) })
	if err != nil {
		return err
	}
	// A rename between two names of one inode does nothing, and leaves both.
	return ignoreGone(fsat.Unlink(ready, x.File))
}

// lookAt finds out whether the name has the new inode: otherwise it is missed, and the catalog does not get its number.
func (w *exchangeWork) lookAt(dir int, leaf string, x *Exchange) error {
	var st fsat.Stat
	err := fsat.StatAt(dir, leaf, &st)
	x.Missed = err != nil || st.Ino != x.Stored
	x.Record = x.Record && !x.Missed
	return ignoreGone(err)
}

// putFolder makes a folder, unless it exists.
func (w *exchangeWork) putFolder(dir int, leaf string, x *Exchange) error {
	var st fsat.Stat
	err := fsat.StatAt(dir, leaf, &st)
	switch {
	case err == nil && st.Type == fsat.Directory:
		return nil
	case err == nil:
		err = w.moveAside(dir, leaf, x)
	default:
		err = ignoreGone(err)
	}
	if err != nil {
		return err
	}
	return writable(dir, func() error { return fsat.Mkdir(dir, leaf, 0o700) })
}

// moveAside moves a name to ExtraDir. A missing name is no error.
func (w *exchangeWork) moveAside(dir int, leaf string, x *Exchange) (err error) {
	var st fsat.Stat
	if err := fsat.StatAt(dir, leaf, &st); err != nil {
		return ignoreGone(err)
	}
	extra, err := w.Meta.openFolder(ExtraDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(extra)) }()
	move := func() error {
		for i := 1; ; i++ {
			err := fsat.RenameNew(dir, leaf, extra, fmt.Sprintf("%s.%d", x.Snapshot, i))
			if err == nil {
				w.Meta.note("%s, which the catalog of its snapshot does not contain, was moved to %s",
					filepath.Join(w.Path, x.Snapshot, string(x.Path)), w.Meta.Path(ExtraDir, fmt.Sprintf("%s.%d", x.Snapshot, i)))
			}
			if !fsat.IsExist(err) {
				return err
			}
		}
	}
	return writable(dir, func() error {
		err := move()
		if errors.Is(err, fs.ErrPermission) && st.Type == fsat.Directory { // moving a folder takes write permission on it
			if err := fsat.ChmodAt(dir, leaf, st.Mode|0o700); err != nil && !fsat.IsRefused(err) {
				return err
			}
			err = move()
		}
		return err
	})
}

// writable calls do, which changes names in a folder of a snapshot, and again when the folder has write permission, if
// that was missing. The folder gets its recorded mode in the end.
func writable(dir int, do func() error) error {
	err := do()
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := fsat.Chmod(dir, 0o700); err != nil {
		return err
	}
	return do()
}

// resetFolders sets the metadata of all folders in which names were exchanged to the recorded ones: those deepest down
// first, as long as the ones above let them be reached.
func (w *exchangeWork) resetFolders(c *index.Catalog, name string, list []*Exchange) error {
	set := make(map[string]struct{})
	for _, x := range list {
		path := string(x.Path)
		if x.Kind == PutFolder || x.Kind == SetFolder {
			set[path] = struct{}{}
		}
		if path != "" && x.Kind != SetFolder {
			above, _ := splitPath(path)
			set[above] = struct{}{}
		}
	}
	paths := slices.Collect(maps.Keys(set))
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for _, path := range paths {
		if err := w.step.at("metadata of a folder"); err != nil {
			return err
		}
		if err := w.setFolder(c, name, path); err != nil {
			return callFailed("set metadata of", filepath.Join(w.Path, name, path), err)
		}
	}
	return nil
}

// setFolder sets the metadata of one folder, as far as the archive and the privileges can take them.
func (w *exchangeWork) setFolder(c *index.Catalog, name, path string) (err error) {
	e, found, err := c.Lookup(path)
	if err != nil || !found || e.Type != index.Dir {
		return err
	}
	set, err := c.Xattrs(e.Xattrs)
	if err != nil {
		return err
	}
	dir, err := openIn(w.Root, name, path)
	if fsat.IsNoDir(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	if e.Flags&index.XattrsCatalogOnly == 0 {
		if _, err := tree.DropXattrs(dir, set); err != nil && !fsat.IsRefused(err) {
			return err
		}
	}
	setter := tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Readable: true}
	done, err := setter.Set(tree.Opened(dir), &e, set, tree.Setting{})
	if err == nil && e.Flags&index.XattrsCatalogOnly == 0 && done.Unplaced(set) != nil { // which the archive had room for once
		err = fmt.Errorf("set %s: %w", done.NoRoom.Xattr, done.NoRoom.Err)
	}
	if err != nil || !w.Info.Capabilities.NeedsFsync {
		return err
	}
	return fsat.Sync(dir)
}

// record writes a new catalog of a snapshot, with the inodes that its entries have now, if an exchange says so.
func (w *exchangeWork) record(name string, list []*Exchange) (changed bool, err error) {
	now := make(map[string]*Exchange)
	for _, x := range list {
		if x.Kind == PutFolder {
			if err := w.lookAtFolder(x); err != nil {
				return false, err
			}
		}
		if x.Record {
			now[string(x.Path)] = x
		}
	}
	if len(now) == 0 {
		return false, nil
	}
	err = w.withRoom(w.ctx, func() error {
		err := w.inCatalog(name, func(c *index.Catalog, name string) error {
			if !isOf(c, name) {
				return nil
			}
			return w.replaceCatalog(name, w.step, func(f *os.File) error {
				return writeChanged(w.ctx, f, c, func(dir string, e *index.Entry) {
					if x := now[index.Join(dir, e.Name)]; x != nil {
						e.Stored, e.Blocks = x.Stored, x.Blocks
						if x.Kind == Put {
							e.Flags = e.Flags&^index.CatalogOnly | x.Flags
						}
					}
				})
			})
		})
		if isCatalogGone(err) {
			return nil
		}
		return err
	})
	return true, err
}

// lookAtFolder finds out the inode of a folder that was made anew.
func (w *exchangeWork) lookAtFolder(x *Exchange) (err error) {
	dir, err := openIn(w.Root, x.Snapshot, string(x.Path))
	if fsat.IsNoDir(err) {
		x.Record = false
		return nil
	}
	if err != nil {
		return err
	}
	var st fsat.Stat
	err = errors.Join(fsat.StatHandle(dir, &st), fsat.Close(dir))
	x.Stored, x.Blocks = st.Ino, uint64(st.Blocks)
	return err
}

func writeChanged(ctx context.Context, f *os.File, c *index.Catalog, change func(dir string, e *index.Entry)) error {
	out, err := index.NewWriter(f)
	if err != nil {
		return err
	}
	if err := c.CopyChanged(ctx, out, change); err != nil {
		return err
	}
	return f.Sync()
}
