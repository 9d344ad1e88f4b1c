package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
)

// pool has the stored files of the archive's snapshots that this run may use. It finds them by content hash, and gives
// access to them by snapshot and path: open catalogs, and open folders for linking.
type pool struct {
	index        *index.Index // nil: there is none that can be used
	indexDamaged atomic.Bool  // found out while looking something up
	used         inodeset.Set // stored files that are files of this snapshot
	moved        inodeset.Set // those of them that were found under another name
	damaged      damagedFiles

	archive  *archive.Archive
	mu       sync.Mutex
	catalogs map[string]*index.Catalog // nil value: there is none, or it is unusable
	order    []string                  // of catalogs, the oldest first
	folders  folders.Cache[string]
}

// maxCatalogs bounds the catalogs open at once; each caches some of its blocks.
const maxCatalogs = 4

func (p *pool) init(a *archive.Archive) {
	p.archive, p.catalogs = a, make(map[string]*index.Catalog)
	p.folders.Open = func(path string) (int, error) { return fsat.OpenPath(a.Root, path) }
}

func (p *pool) close() error {
	var errs []error
	for _, c := range p.catalogs {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if p.index != nil {
		errs = append(errs, p.index.Close())
	}
	return errors.Join(append(errs, p.folders.Close())...)
}

var errNoCatalog = errors.New("no usable catalog")

// entry returns the entry at a location of the index, and the path of its folder.
func (p *pool) entry(loc index.Location) (dir string, e index.Entry, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.catalog(loc.Snapshot)
	if err != nil {
		return "", e, err
	}
	e, ok, err := c.At(loc.Dir, loc.Entry)
	if err != nil || !ok {
		return "", e, errors.Join(err, fs.ErrNotExist)
	}
	dir, err = c.Path(loc.Dir)
	return dir, e, err
}

func (p *pool) catalog(snapshot string) (*index.Catalog, error) {
	c, known := p.catalogs[snapshot]
	if known {
		if c == nil {
			return nil, errNoCatalog
		}
		return c, nil
	}
	if len(p.order) == maxCatalogs {
		oldest := p.order[0]
		p.order = p.order[1:]
		if err := p.catalogs[oldest].Close(); err != nil {
			return nil, err
		}
		delete(p.catalogs, oldest)
	}
	c, err := index.Open(p.archive.CatalogPath(snapshot))
	if err == nil {
		if _, statErr := os.Lstat(p.archive.Path + "/" + snapshot); statErr != nil {
			c, err = nil, errors.Join(statErr, c.Close())
		}
	}
	if err != nil {
		p.catalogs[snapshot] = nil
		return nil, fmt.Errorf("catalog of %s: %w", snapshot, err)
	}
	p.catalogs[snapshot] = c
	p.order = append(p.order, snapshot)
	return c, nil
}

// native reports whether the catalog of a snapshot has inode numbers of the archive's present file system.
func (p *pool) native(snapshot string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.catalog(snapshot)
	return err == nil && c.Summary().Anchor == p.archive.Anchor
}

// in calls do with an open folder of a snapshot.
func (p *pool) in(snapshot, dir string, do func(fd int) error) error {
	if dir != "" {
		snapshot = join(snapshot, dir)
	}
	return p.folders.In(snapshot, do)
}

// eachStored visits the stored files that a lookup of a content hash finds and for which want is true, with the
// entries of their catalogs, until visit returns false or an error. It skips wrong locations of the index, as the
// catalogs decide, and stored files that are known to be damaged.
func (p *pool) eachStored(hash index.Hash, lookup func(func(index.Location) bool) error, want func(index.Location) bool,
	visit func(snapshot, dir string, e *index.Entry) (bool, error)) error {
	var visitErr error
	err := lookup(func(loc index.Location) bool {
		if !want(loc) {
			return true
		}
		dir, e, err := p.entry(loc)
		if err != nil || e.Type != index.File || e.Hash != hash || e.Stored != loc.Stored || p.damaged.has(&e) {
			return true
		}
		var next bool
		next, visitErr = visit(loc.Snapshot, dir, &e)
		return next && visitErr == nil
	})
	if visitErr != nil {
		return visitErr
	}
	if errors.Is(err, index.ErrDamaged) { // not finding it costs a copy; the next run makes the index anew
		p.indexDamaged.Store(true)
		return nil
	}
	if err != nil {
		return fatal("read", archive.IndexFile, err)
	}
	return nil
}
