package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// Errors for snapshots of which only a part is left.
var (
	// ErrNoFolder reports a snapshot with a catalog but no folder: the folder was removed by hand, or is lost.
	ErrNoFolder = errors.New("the snapshot's folder is missing, only its catalog is left")
	// ErrNoCatalog reports a snapshot's folder without its catalog.
	ErrNoCatalog = errors.New("its catalog is lost")
)

// WithoutCatalog returns the folders that have a snapshot's name and no catalog: the catalog was lost.
func (a *Archive) WithoutCatalog() ([]string, error) {
	folders, err := snapshotDirs(a.Path)
	if err != nil {
		return nil, err
	}
	leaving, err := a.removingInPlace()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range folders {
		if name == leaving {
			continue
		}
		_, err := os.Lstat(a.CatalogPath(name))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if _, err := os.Lstat(filepath.Join(a.Path, name)); err == nil { // not removed since it was listed
			list = append(list, name)
		}
	}
	return list, nil
}

// WithoutFolder returns the published snapshots of which only the catalog is left: the folder was removed by hand, or
// lost, or another object has its name. Snapshots whose removal was interrupted, or whose publishing was, do not
// count.
func (a *Archive) WithoutFolder() ([]string, error) {
	catalogs, err := a.Meta.list(CatalogsDir)
	if err != nil {
		return nil, err
	}
	folders, err := snapshotDirs(a.Path)
	if err != nil {
		return nil, err
	}
	leaving, err := a.removingInPlace()
	if err != nil {
		return nil, err
	}
	newest := ""
	if len(folders) > 0 {
		newest = folders[len(folders)-1]
	}
	var list []string
	for _, file := range catalogs {
		name, isCatalog := strings.CutSuffix(file, CatalogExt)
		if !isCatalog || !IsName(name) || name == leaving {
			continue
		}
		lost, err := a.hasLostFolder(name, newest)
		if err != nil {
			return nil, err
		}
		if lost {
			list = append(list, name)
		}
	}
	return list, nil
}

// hasLostFolder reports whether a snapshot with a catalog was published and has no folder. newest is the newest folder
// with a snapshot's name, "" if there is none.
func (a *Archive) hasLostFolder(name, newest string) (bool, error) {
	info, err := os.Lstat(filepath.Join(a.Path, name))
	switch {
	case err == nil && info.IsDir(), a.Trash.isLeaving(name):
		return false, nil
	case err == nil: // another object has its name
		return true, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	// A catalog without a report may be newer than any folder, or named by the work folder: then its snapshot is being
	// published, or its publishing was interrupted.
	if _, err := os.Lstat(a.Reports.path(name)); err == nil {
		return true, nil
	}
	publishing, err := a.Reports.beingPublished()
	return err == nil && name <= newest && name != publishing, err
}

// lost finds a snapshot of which only a part is left. why is ErrNoFolder or ErrNoCatalog, or nil if there is no such
// snapshot.
func (a *Archive) lost(name string) (s Snapshot, why, err error) {
	if !IsName(name) {
		return s, nil, nil
	}
	s = a.snapshot(name)
	for _, kind := range []struct {
		why  error
		list func() ([]string, error)
	}{{ErrNoFolder, a.WithoutFolder}, {ErrNoCatalog, a.WithoutCatalog}} {
		list, err := kind.list()
		if err != nil {
			return s, nil, err
		}
		for _, n := range list {
			if n == name {
				return s, kind.why, nil
			}
		}
	}
	return s, nil, nil
}

// IsTaken reports whether the archive contains any part of a snapshot of that name.
func (a *Archive) IsTaken(name string) (bool, error) {
	for _, path := range []string{filepath.Join(a.Path, name), a.CatalogPath(name), a.Reports.path(name), a.pins.path(name),
		a.Trash.path(name)} {
		if _, err := os.Lstat(path); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return false, err
		}
	}
	return false, nil
}

// snapshotDirs returns the folders with a snapshot's name of the archive at a path, oldest first. It ignores objects of
// that name that are not folders.
func snapshotDirs(path string) (list []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, e := range entries {
		if _, ok := ParseName(e.Name()); ok && e.IsDir() {
			list = append(list, e.Name())
		}
	}
	return list, nil
}

// hasFolder reports whether the archive at a path has a snapshot's folder, with or without its catalog.
func hasFolder(path, snapshot string) (bool, error) {
	if _, ok := ParseName(snapshot); !ok {
		return false, nil
	}
	_, err := os.Lstat(filepath.Join(path, snapshot))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Finding is a fault of the archive's own files that only a person can resolve.
type Finding struct {
	Path string
	Err  error // wraps one of the errors below, if Seen
	Seen bool  // false: the file could not be looked at, and may be sound
}

// couldNotLook reports whether err, from reading one of the archive's own files, proves nothing about that file: it
// may be readable next time.
func couldNotLook(err error) bool {
	var call *fs.PathError
	return errors.As(err, &call) && !errors.Is(err, plainfile.ErrKind) && !fsat.IsGone(err) && !fsat.IsOtherType(err) &&
		!fsat.IsBadDisk(err)
}

// Faults that a person has to resolve.
var (
	// ErrForgetNote reports an unreadable note of an unfinished ForgetPath: its path may still be in snapshots.
	ErrForgetNote = errors.New("the path that was being forgotten is not known any more, and may still be in snapshots")
	// ErrRepairNote reports an unreadable note of an unfinished repair.
	ErrRepairNote = errors.New("it is not known any more which names were being repaired")
	// ErrAcknowledged reports an unreadable note of acknowledged runs: no run that looks wrong counts as acknowledged.
	ErrAcknowledged = errors.New("it is not known any more which runs were acknowledged")
	// ErrReaderNote reports an unreadable note of a reader.
	ErrReaderNote = errors.New("it is not known any more who needs the snapshot")
	// ErrReaderNotes reports an unreadable folder of readers' notes: no snapshot can be removed.
	ErrReaderNotes = errors.New("it is not known which snapshots are needed")
	// ErrPins reports an unreadable folder of pins: no snapshot can be removed.
	ErrPins = errors.New("it is not known which snapshots are pinned")
	// ErrLatest reports that "latest" points to a snapshot that does not exist. Whoever has the lock mends that.
	ErrLatest = errors.New("which does not exist")
	// ErrIndex reports a damaged content-hash index.
	ErrIndex = errors.New("content-hash index")
)

// LostParts returns a finding for each snapshot of which only the folder or only the catalog is left.
func (a *Archive) LostParts() (list []Finding, err error) {
	gone, err := a.WithoutFolder()
	if err != nil {
		return nil, err
	}
	for _, name := range gone {
		list = append(list, Finding{Path: filepath.Join(a.Path, name), Err: ErrNoFolder, Seen: true})
	}
	lost, err := a.WithoutCatalog()
	for _, name := range lost {
		list = append(list, Finding{Path: filepath.Join(a.Path, name), Err: ErrNoCatalog, Seen: true})
	}
	return list, err
}

// Findings returns the faults of the archive's own notes.
func (a *Archive) Findings() (list []Finding) {
	add := func(path string, kind, why error) {
		f := Finding{Path: path, Err: withoutPath(why)}
		if !couldNotLook(why) {
			f.Seen, f.Err = true, fmt.Errorf("%w (%w)", kind, f.Err)
		}
		list = append(list, f)
	}
	if _, err := a.readForgetNote(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		add(a.Meta.Path(forgetFile), ErrForgetNote, err)
	}
	if _, err := a.readRepairNote(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		add(a.Meta.Path(repairFile), ErrRepairNote, err)
	}
	if _, err := readAcknowledged(a.Meta); err != nil {
		add(a.Meta.Path(acknowledgedFile), ErrAcknowledged, err)
	}
	if _, err := a.pins.names(); err != nil {
		add(a.Meta.Path(pinsDir), ErrPins, err)
	}
	readers, err := a.Readers.All()
	if err != nil {
		add(a.Meta.Path(readersDir), ErrReaderNotes, err)
	}
	for i := range readers {
		if readers[i].Damage != nil {
			add(readers[i].Path, ErrReaderNote, readers[i].Damage)
		}
	}
	return list
}
