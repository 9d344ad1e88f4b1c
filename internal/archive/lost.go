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
	// ErrNoFolder is for a snapshot of which only the catalog is left: its folder was removed by hand, or is lost.
	ErrNoFolder = errors.New("the snapshot's folder is missing, only its catalog is left")
	// ErrNoCatalog is for a snapshot's folder whose catalog is lost.
	ErrNoCatalog = errors.New("its catalog is lost")
)

// WithoutCatalog lists the folders that have a snapshot's name and no catalog: the catalog was lost.
func (a *Archive) WithoutCatalog() ([]string, error) {
	folders, err := a.folders()
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

// WithoutFolder lists the snapshots that were published and of which only the catalog is left: the folder was removed by
// hand, or lost, or something else has its name. One whose removal was cut short is none of them, and neither is one that
// was about to be published.
func (a *Archive) WithoutFolder() ([]string, error) {
	catalogs, err := a.list(CatalogsDir)
	if err != nil {
		return nil, err
	}
	folders, err := a.folders()
	if err != nil {
		return nil, err
	}
	leaving, err := a.removingInPlace()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, file := range catalogs {
		name, isCatalog := strings.CutSuffix(file, CatalogExt)
		if !isCatalog || !IsName(name) || name == leaving {
			continue
		}
		info, folderErr := os.Lstat(filepath.Join(a.Path, name))
		if folderErr == nil && info.IsDir() || a.isLeaving(name) {
			continue
		}
		if folderErr != nil && !errors.Is(folderErr, fs.ErrNotExist) {
			return nil, folderErr
		}
		_, reportErr := os.Lstat(a.reportPath(name))
		isOrphan := folderErr != nil && reportErr != nil && (len(folders) == 0 || name > folders[len(folders)-1])
		if !isOrphan {
			list = append(list, name)
		}
	}
	return list, nil
}

// lost finds a snapshot of which only a part is left. why is ErrNoFolder, ErrNoCatalog, or nil if there is no such.
func (a *Archive) lost(name string) (s Snapshot, why, err error) {
	t, ok := ParseName(name)
	if !ok {
		return s, nil, nil
	}
	s = Snapshot{Name: name, Time: t, Catalog: a.CatalogPath(name)}
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

// IsTaken reports whether anything of a snapshot of that name is in the archive.
func (a *Archive) IsTaken(name string) (bool, error) {
	for _, path := range []string{filepath.Join(a.Path, name), a.CatalogPath(name), a.reportPath(name), a.pinPath(name),
		a.trashPath(name)} {
		if _, err := os.Lstat(path); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return false, err
		}
	}
	return false, nil
}

// folders lists the folders with a snapshot's name, oldest first. What has such a name and is no folder is none.
func (a *Archive) folders() (list []string, err error) {
	entries, err := os.ReadDir(a.Path)
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

// Finding is something about the archive's own files that cannot be made anew without a person.
type Finding struct {
	Path string
	Err  error // wraps one of the errors below, if Seen
	Seen bool  // false: it could not be looked at, and nothing is known to be wrong
}

// couldNotLook reports whether err, of reading one of the archive's own files, says nothing of that file: it may be sound
// the next time.
func couldNotLook(err error) bool {
	var call *fs.PathError
	return errors.As(err, &call) && !errors.Is(err, plainfile.ErrKind) && !fsat.IsGone(err) && !fsat.IsOtherType(err) &&
		!fsat.IsBadDisk(err)
}

// What a person has to settle.
var (
	// ErrForgetNote is for an unreadable note of what was being forgotten: it may still be in snapshots.
	ErrForgetNote = errors.New("what was being forgotten is not known any more, and may still be in snapshots")
	// ErrAcknowledged is for an unreadable note of what was acknowledged: no run that looked wrong counts as acknowledged.
	ErrAcknowledged = errors.New("which runs were acknowledged is not known any more")
	// ErrReaderNote is for an unreadable note of who needs a snapshot.
	ErrReaderNote = errors.New("who needs the snapshot is not known any more")
	// ErrReaderNotes is for a folder with such notes that cannot be read: nothing can be removed.
	ErrReaderNotes = errors.New("which snapshots are needed is not known")
	// ErrPins is for a folder of pins that cannot be read: nothing can be removed.
	ErrPins = errors.New("which snapshots are pinned is not known")
	// ErrIndex is for a content-hash index that is damaged.
	ErrIndex = errors.New("content-hash index")
)

// Findings lists what is wrong with the archive's own notes.
func (a *Archive) Findings() (list []Finding) {
	add := func(path string, kind, why error) {
		f := Finding{Path: path, Err: withoutPath(why)}
		if !couldNotLook(why) {
			f.Seen, f.Err = true, fmt.Errorf("%w (%w)", kind, f.Err)
		}
		list = append(list, f)
	}
	if _, err := a.readForgetNote(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		add(a.MetaPath(forgetFile), ErrForgetNote, err)
	}
	if _, err := a.readAcknowledged(); err != nil {
		add(a.MetaPath(acknowledgedFile), ErrAcknowledged, err)
	}
	if _, err := a.pinned(); err != nil {
		add(a.MetaPath(pinsDir), ErrPins, err)
	}
	readers, err := a.Readers()
	if err != nil {
		add(a.MetaPath(readersDir), ErrReaderNotes, err)
	}
	for i := range readers {
		if readers[i].Damage != nil {
			add(readers[i].Path, ErrReaderNote, readers[i].Damage)
		}
	}
	return list
}
