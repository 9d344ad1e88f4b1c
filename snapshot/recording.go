package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
)

// workCatalog is the name of the catalog under construction in the work folder.
const workCatalog = "catalog"

// recording writes all that the archive will know of the snapshot: its catalog, the additions to the content-hash index,
// and the list of files whose number of blocks is not final. The zero value, which is that of a dry run, writes nothing.
type recording struct {
	catalog     *index.Writer // nil: nothing is written
	file        *os.File      // of the catalog
	placed      bool          // the catalog has its final name
	additions   *index.Builder
	allocations allocations
	devices     devices
	xattrs      refCache
}

// begin starts a catalog in the archive's work folder.
func (c *recording) begin(a *archive.Archive) (err error) {
	c.file, err = os.OpenFile(a.Meta.Path(archive.WorkDir, workCatalog), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("begin catalog: %w", err)
	}
	if err := atomicfile.Inherit(c.file); err != nil {
		return fmt.Errorf("begin catalog: %w", err)
	}
	if c.catalog, err = index.NewWriter(c.file); err != nil {
		return fmt.Errorf("begin catalog: %w", err)
	}
	c.additions = index.NewBuilder(a.WorkPath())
	if err := c.allocations.start(a.WorkPath()); err != nil {
		return fmt.Errorf("begin list of new files: %w", err)
	}
	return nil
}

// startDir begins the record of a folder.
func (c *recording) startDir(parent index.DirID, name string) (id index.DirID, err error) {
	if c.catalog == nil {
		return id, nil
	}
	if id, err = c.catalog.StartDir(parent, name); err != nil {
		return id, fatal("write", "catalog", err)
	}
	return id, nil
}

// addDir completes the record of a folder that has all its entries.
func (c *recording) addDir(d *dir) error {
	if c.catalog == nil {
		return nil
	}
	if err := c.catalog.AddDir(d.id, d.entries, &d.self); err != nil {
		return fatal("write", "catalog", err)
	}
	for i := range d.entries {
		if d.fresh[i] {
			c.additions.Add(&d.entries[i], d.id, uint32(i))
		}
	}
	if err := c.allocations.add(d); err != nil {
		return fatal("write", "list of new files", err)
	}
	return nil
}

// addXattrs gives e a set of extended attributes.
func (c *recording) addXattrs(e *index.Entry, set []fsat.Xattr) (err error) {
	e.Xattrs, e.XattrHash = 0, index.Hash{}
	if len(set) == 0 {
		return nil
	}
	if c.catalog == nil {
		e.XattrHash = index.HashXattrs(set)
		return nil
	}
	if e.Xattrs, e.XattrHash, err = c.catalog.AddXattrs(set); err != nil {
		return fatal("write", "catalog", err)
	}
	return nil
}

// keepXattrs records the extended attributes that an entry of the previous catalog has in the new catalog, too, and
// returns their place there. It returns false if the previous catalog cannot be read for them.
func (c *recording) keepXattrs(was *index.Entry, p *previous) (xattrSet, bool, error) {
	if was.Xattrs == 0 {
		return xattrSet{}, true, nil
	}
	if c.catalog == nil {
		return xattrSet{was.Xattrs, was.XattrHash}, true, nil
	}
	kept, ok := c.xattrs.get(was.Xattrs)
	if ok {
		return kept, true, nil
	}
	set, ok := p.xattrs(was.Xattrs)
	if !ok {
		return kept, false, nil
	}
	var err error
	if kept.ref, kept.hash, err = c.catalog.AddXattrs(set); err != nil {
		return kept, false, fatal("write", "catalog", err)
	}
	c.xattrs.put(was.Xattrs, kept)
	return kept, true, nil
}

// finish completes the catalog with the entry of the top, and makes it durable.
func (c *recording) finish(top index.Entry, s index.Summary) error {
	top.Name = ""
	if err := c.catalog.Finish(top, c.devices.list, s); err != nil {
		return err
	}
	return c.file.Sync()
}

// place gives the catalog its name and replaces no other catalog: that could be the last proof of another snapshot.
func (c *recording) place(work int, a *archive.Archive, snapshot string) (err error) {
	path := a.CatalogPath(snapshot)
	catalogs, err := a.Meta.Open(archive.CatalogsDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(catalogs)) }()
	if err := fsat.RenameNew(work, workCatalog, catalogs, filepath.Base(path)); err != nil {
		return &fs.PathError{Op: "rename to", Path: path, Err: err}
	}
	c.placed = true
	return syncFolder(catalogs, filepath.Dir(path))
}

// syncFolder makes the names in an open folder durable.
func syncFolder(fd int, path string) error {
	if err := fsat.Sync(fd); err != nil {
		return &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

func (c *recording) close() error {
	var errs []error
	if c.additions != nil {
		errs = append(errs, c.additions.Close())
	}
	errs = append(errs, c.allocations.close())
	if c.file != nil {
		errs = append(errs, c.file.Close())
	}
	return errors.Join(errs...)
}

// device numbers the file system of an entry: its folder's, unless something is mounted over the entry itself.
func (c *recording) device(d *dir, st *source.Stat) uint32 {
	if st.Dev == d.source.Dev && st.Mount == d.source.Mount {
		return d.dev
	}
	return c.devices.number(st)
}

// devices numbers the file systems of a source in the order of their appearance. A file system mounted in two places
// counts twice: each place shows all names of an inode, and the link count is that of one place.
type devices struct {
	mu     sync.Mutex
	list   []uint64
	mounts []uint64 // goes with list
}

func (d *devices) number(st *source.Stat) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, known := range d.list {
		if known == st.Dev && d.mounts[i] == st.Mount {
			return uint32(i)
		}
	}
	d.list = append(d.list, st.Dev)
	d.mounts = append(d.mounts, st.Mount)
	return uint32(len(d.list) - 1)
}

// refCache maps sets of extended attributes of the previous catalog to their references in the new one.
type refCache struct {
	mu   sync.Mutex
	refs map[index.XattrRef]xattrSet
}

// xattrSet is the place of a set of extended attributes in the new catalog, and its hash.
type xattrSet struct {
	ref  index.XattrRef
	hash index.Hash
}

// maxRefs bounds the cache; sets that fall out of it are written again.
const maxRefs = 1 << 14

func (c *refCache) get(old index.XattrRef) (set xattrSet, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, ok = c.refs[old]
	return set, ok
}

func (c *refCache) put(old index.XattrRef, set xattrSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refs == nil || len(c.refs) >= maxRefs {
		c.refs = make(map[index.XattrRef]xattrSet)
	}
	c.refs[old] = set
}
