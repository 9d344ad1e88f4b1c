package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/tree"
)

// target is the folder to restore into.
type target struct {
	path  string // absolute
	fd    int    // fsat.NoDir: a dry run has found none
	id    tree.InodeID
	swap  *swap                   // nil: it stays where it is
	dry   bool                    // Options.DryRun
	fault func(step string) error // Options.Fault

	archive    archivePlace
	origin     origin
	alone      bool // no other restore into it is under way
	fsync      bool // each file and folder has to be synced by itself
	exactNames bool // its file system treats no two names as equal

	brief sync.Mutex // see briefly
}

// origin says who made the target.
type origin uint8

const (
	targetForeign origin = iota // somebody else, before
	targetAdopted               // empty and closed to others, like the leftover of a restore killed at once
	targetOurs                  // this restore, or the one that it continues
)

// open opens the folder to and makes it if it is missing, with access for us alone until it gets its metadata if the
// whole snapshot is to be restored. It must not lie in the archive of the snapshot in the folder from.
func (t *target) open(to, from string, whole bool) (err error) {
	abs, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	t.path = abs
	if err := inside.CheckTarget(abs, filepath.Dir(from)); err != nil {
		return err
	}
	if t.archive, err = findArchive(from); err != nil {
		return err
	}
	if err := t.step("target"); err != nil {
		return &fs.PathError{Op: "make target", Path: abs, Err: err}
	}
	switch {
	case t.swap != nil:
		t.origin = targetOurs
		if t.fd, err = t.swap.openFresh(); err != nil {
			return &fs.PathError{Op: "open target", Path: abs, Err: err}
		}
		t.path = filepath.Join(t.swap.parent, t.swap.fresh)
		return nil
	case t.dry:
		if t.fd, err = fsat.OpenRoot(abs); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "open target", Path: abs, Err: err}
		}
		return nil
	}
	return t.openOrMake(whole)
}

func (t *target) openOrMake(whole bool) error {
	mode := fs.FileMode(0o777)
	if whole {
		mode = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o777); err != nil {
		return err
	}
	err := os.Mkdir(t.path, mode)
	if err == nil {
		t.origin = targetOurs
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if t.fd, err = fsat.OpenRoot(t.path); err != nil {
		return &fs.PathError{Op: "open target", Path: t.path, Err: err}
	}
	return nil
}

// fileSystem reads the properties of the target's file system.
func (t *target) fileSystem() (fsat.Space, error) {
	space, err := fsat.FileSystem(t.fd)
	if err != nil {
		return space, &fs.PathError{Op: "statfs", Path: t.path, Err: err}
	}
	t.fsync, t.exactNames = space.NeedsFsync, exactNames[space.Kind]
	return space, nil
}

// claim tries the lock on the target, which shows that no other restore into it is under way: the temporary names of
// one would look like leftovers. The lock ends with the handle of the target. Without locks, others may be under way.
func (t *target) claim() {
	alone, err := fsat.LockExclusive(t.fd)
	shared, sharedErr := fsat.LockShared(t.fd) // so that the next one knows of this one
	t.alone = alone && shared && errors.Join(err, sharedErr) == nil
}

// step precedes each change of the target, and makes it fail in tests.
func (t *target) step(name string) error {
	if t.fault == nil {
		return nil
	}
	return t.fault(name)
}

// briefly calls do, which makes an entry in a folder of the target and removes it, and resets the folder's time.
func (t *target) briefly(in int, do func() error) error {
	t.brief.Lock() // two workers may be in one folder
	defer t.brief.Unlock()
	var was fsat.Stat
	if err := fsat.StatHandle(in, &was); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	err := do()
	var is fsat.Stat
	if statErr := fsat.StatHandle(in, &is); statErr != nil || is.Mtime == was.Mtime {
		return errors.Join(err, statErr)
	}
	if timeErr := fsat.SetMtime(in, was.Mtime); timeErr != nil && !fsat.IsRefused(timeErr) {
		err = errors.Join(err, fmt.Errorf("set time: %w", timeErr))
	}
	return err
}

// sync writes everything in the target's file system to the disk.
func (t *target) sync() error {
	if err := fsat.SyncFS(t.fd); err != nil {
		return &fs.PathError{Op: "sync", Path: t.path, Err: err}
	}
	return nil
}

// pathOf returns the whole path of a folder of the target.
func (t *target) pathOf(d *dir) string { return filepath.Join(t.path, d.PathIn(inTarget)) }

// lookForFolding lists an existing folder in which the file system may treat names as equal that differ only in case,
// or in the encoding of letters: an existing name may then belong to another entry.
func (t *target) lookForFolding(d *dir) error {
	if t.exactNames {
		attrs, err := fsat.Attrs(d.dst())
		if err != nil {
			return fmt.Errorf("read attributes: %w", err)
		}
		if attrs&caseFold == 0 {
			return nil
		}
	}
	fd, err := fsat.OpenDir(d.dst(), ".") // a listing moves its handle
	if err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	list, err := fsat.ReadDir(fd, make([]byte, 64<<10))
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	d.had = make(map[string]bool, len(list))
	for _, e := range list {
		d.had[e.Name] = true
	}
	return nil
}

// caseFold is the attribute of folders in which ext4, f2fs and tmpfs fold names.
const caseFold = 0x40000000

// exactNames are the file systems that treat no two names as equal, except in folders with that attribute.
var exactNames = map[string]bool{"ext4": true, "xfs": true, "btrfs": true, "tmpfs": true, "f2fs": true, "overlay": true}

// setTime sets the snapshot's time on a folder in which names have changed.
func (t *target) setTime(fd int, e *index.Entry) error {
	if t.dry {
		return nil
	}
	if err := t.step("folder time"); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	if err := fsat.SetMtime(fd, e.Mtime); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set time: %w", err)
	}
	if t.fsync {
		if err := fsat.Sync(fd); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	return nil
}

// archivePlace has the folders that must not be deleted or moved: an archive's, and all above it.
type archivePlace struct {
	folder tree.InodeID // of the archive, never touched if it is in the target
	above  map[tree.InodeID]bool
}

// isIn reports whether a folder is the archive or one above it.
func (a *archivePlace) isIn(st *fsat.Stat) bool { return a.above[tree.IDOf(st)] }

// findArchive finds the archive of a snapshot's folder.
func findArchive(snapshot string) (a archivePlace, err error) {
	a.above = make(map[tree.InodeID]bool)
	at, err := fsat.OpenRoot(filepath.Dir(snapshot))
	for err == nil {
		var st fsat.Stat
		if err = fsat.StatHandle(at, &st); err != nil || a.isIn(&st) { // the root is its own parent
			break
		}
		if len(a.above) == 0 {
			a.folder = tree.IDOf(&st)
		}
		a.above[tree.IDOf(&st)] = true
		var next int
		next, err = fsat.OpenParent(at)
		err = errors.Join(err, fsat.Close(at))
		at = next
	}
	if err = errors.Join(err, fsat.Close(at)); err != nil {
		err = &fs.PathError{Op: "open", Path: filepath.Dir(snapshot), Err: err}
	}
	return a, err
}
