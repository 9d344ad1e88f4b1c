package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/workers"
)

// Errors of RebuildCatalog.
var (
	// ErrCatalogSound reports a catalog that can be read from beginning to end: it is not replaced.
	ErrCatalogSound = errors.New("its catalog is sound")
)

// CatalogOptions are the options of RebuildCatalog.
type CatalogOptions struct {
	Threads  int
	Progress *archive.Progress
	Now      func() time.Time
	Fault    func(step string) error
}

// Rebuilt describes a catalog that was made anew.
type Rebuilt struct {
	Snapshot string
	Why      error // what was wrong with the old one
	Files    uint64
	Dirs     uint64
	Bytes    uint64
	// Damaged are the paths of files whose content or metadata are not those that the catalog of a neighbouring snapshot
	// records for the same stored file. The new catalog has the recorded ones.
	Damaged []string
	// Unreadable are the paths of files that the disk does not return, and that no neighbouring snapshot knows: the new
	// catalog does not contain them.
	Unreadable []string
	NoReport   bool   // no run report tells of the run: its figures and its times are not known
	Aside      string // where the damaged catalog is now; "" if there was none
	Recovered  []string
}

// RebuildCatalog makes the lost or damaged catalog of a snapshot anew from the snapshot's folder. Every content is read and
// hashed, and metadata are those that the files in the folder have. What only the old catalog knew is lost: metadata that
// the archive's file system could not take, change times and inode numbers of the source, file attributes. So all entries
// are marked as index.Racy, and the next run reads the source's files. The damaged catalog is kept aside.
func RebuildCatalog(ctx context.Context, a *archive.Archive, name string, opt CatalogOptions) (made *Rebuilt, err error) {
	if opt.Now != nil {
		a.Now = opt.Now
	}
	lock, err := a.Lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	did, err := lock.Recover(ctx)
	if err != nil {
		return nil, err
	}
	if made, err = rebuildCatalog(ctx, lock, name, opt); err != nil {
		return made, err
	}
	made.Recovered = did
	snapshots, err := a.Snapshots()
	if err == nil {
		err = lock.MakeIndex(ctx, snapshots)
	}
	return made, err
}

// catalogFault returns what is wrong with the catalog of a snapshot; nil if it is sound.
func catalogFault(ctx context.Context, s archive.Snapshot) (why, err error) {
	c, err := s.OpenCatalog()
	if err == nil {
		err = errors.Join(c.Check(ctx), c.Close())
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return archive.ErrNoCatalog, nil
	case errors.Is(err, index.ErrDamaged):
		return err, nil
	}
	return nil, err
}

// rebuildCatalog is RebuildCatalog with the lock, and leaves the content-hash index alone.
func rebuildCatalog(ctx context.Context, lock *archive.Locked, name string, opt CatalogOptions) (*Rebuilt, error) {
	s := archive.Snapshot{Name: name, CatalogPath: lock.CatalogPath(name), Dir: filepath.Join(lock.Path, name)}
	if info, err := os.Lstat(s.Dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", name, archive.ErrNoFolder)
	}
	why, err := catalogFault(ctx, s)
	if err != nil {
		return nil, err
	}
	if why == nil {
		return nil, fmt.Errorf("archive %s, snapshot %s: %w", lock.Path, name, ErrCatalogSound)
	}
	if opt.Progress == nil {
		opt.Progress = new(archive.Progress)
	}
	made := new(Rebuilt)
	aside, err := lock.PutCatalog(name, opt.Fault, func(f *os.File) error {
		*made = Rebuilt{Snapshot: name, Why: why} // it is written again if space was lacking
		b := rebuilder{ctx: ctx, archive: lock.Archive, snapshot: s, made: made, progress: opt.Progress, fault: opt.Fault}
		b.workers = newWorkers(workers.Number(opt.Threads), opt.Progress)
		return errors.Join(b.write(f), b.close())
	})
	made.Aside = aside
	if err == nil {
		err = lock.ForgetDamagedRecords(ctx, name, nil)
	}
	return made, err
}
