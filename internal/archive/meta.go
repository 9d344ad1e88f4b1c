package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// Meta is .snapcopy, the folder of an archive that has everything but the snapshots. Whoever changes it has the
// archive's lock, but for readers' notes and for emptying the trash.
type Meta struct {
	path   string // absolute
	fd     int
	mended []string // not told yet
}

// Path returns the path of a name in .snapcopy.
func (m *Meta) Path(elem ...string) string {
	return filepath.Join(append([]string{m.path}, elem...)...)
}

// catalog returns the path of a snapshot's catalog.
func (m *Meta) catalog(name string) string { return m.Path(CatalogsDir, name+CatalogExt) }

// openCatalog is Snapshot.OpenCatalog, with or without the snapshot's folder.
func (m *Meta) openCatalog(name string) (*index.Catalog, error) {
	return Snapshot{Name: name, CatalogPath: m.catalog(name)}.OpenCatalog()
}

// Open opens a folder of .snapcopy.
func (m *Meta) Open(dir string) (int, error) {
	fd, err := fsat.OpenDir(m.fd, dir)
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open", Path: m.Path(dir), Err: err}
	}
	return fd, nil
}

// Mended returns a sentence for each folder or file that was made anew or put aside. Each sentence is returned once.
// They are sentences, and no values, because run reports have them as they are (docs/json.md).
func (m *Meta) Mended() []string {
	list := m.mended
	m.mended = nil
	return list
}

// note adds a sentence for Mended.
func (m *Meta) note(format string, args ...any) {
	m.mended = append(m.mended, fmt.Sprintf(format, args...))
}

// mendDirs makes the folders that writing to the archive needs. Other tools leave out empty folders when they copy
// an archive. Catalogs cannot be made anew: another object in the place of their folder is left alone.
func (m *Meta) mendDirs() error {
	for _, dir := range []string{CatalogsDir, RunsDir, WorkDir, trashDir} {
		path := m.Path(dir)
		var st fsat.Stat
		err := fsat.StatAt(m.fd, dir, &st)
		switch {
		case err == nil && st.Type == fsat.Directory:
			err = m.openMode(dir, &st)
		case err == nil && dir == CatalogsDir:
			err = m.kindOf(dir)
		case err == nil:
			err = m.kindOf(dir)
			var kind *plainfile.KindError
			if errors.As(err, &kind) {
				err = m.putAside(dir, kind.Is)
			}
			if err == nil {
				err = m.makeDir(dir)
			}
		case errors.Is(err, fs.ErrNotExist):
			if err = m.makeDir(dir); err == nil {
				m.note("the folder %s was made anew: it was missing", path)
			}
		}
		if err != nil {
			return fmt.Errorf("mend %s: %w", path, err)
		}
	}
	return nil
}

// clearPlaces moves folders in the places of files aside: a folder is the one thing that a new file cannot replace. The
// dates of verified files are opened to be locked, so that only a file may be in their place.
func (m *Meta) clearPlaces() error {
	for _, file := range []string{ArchiveFile, IndexFile, ledgerFile, acknowledgedFile, forgetFile, repairFile, verifiedFile, damagedFile} {
		info, err := os.Lstat(m.Path(file))
		if err == nil && (info.IsDir() || file == verifiedFile && !info.Mode().IsRegular()) {
			err = m.putAside(file, plainfile.KindOf(info.Mode()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mend %s: %w", m.Path(file), withoutPath(err))
		}
	}
	return nil
}

// openFolder opens a folder of .snapcopy, made if it is missing; it moves another object in its place aside.
func (m *Meta) openFolder(dir string) (fd int, err error) {
	err = m.kindOf(dir)
	var kind *plainfile.KindError
	if errors.As(err, &kind) {
		if err := m.putAside(dir, kind.Is); err != nil {
			return fsat.NoDir, err
		}
	}
	if err != nil && kind == nil && !errors.Is(err, fs.ErrNotExist) {
		return fsat.NoDir, err
	}
	if err != nil {
		if err := m.makeDir(dir); err != nil {
			return fsat.NoDir, err
		}
	}
	return m.Open(dir)
}

// openMode gives the owner of the archive access to one of its folders, as in the others.
func (m *Meta) openMode(dir string, st *fsat.Stat) error {
	if st.Mode&0o700 == 0o700 || int(st.UID) != os.Geteuid() {
		return nil
	}
	if err := fsat.ChmodAt(m.fd, dir, st.Mode|0o700); err != nil && !fsat.IsRefused(err) {
		return err
	}
	m.note("the folder %s had the mode %04o and can be used again", m.Path(dir), st.Mode)
	return nil
}

// makeDir makes a folder in .snapcopy, for the owner of the archive.
func (m *Meta) makeDir(dir string) (err error) {
	if err := fsat.Mkdir(m.fd, dir, 0o700); err != nil {
		return err
	}
	f, err := os.Open(m.Path(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return errors.Join(atomicfile.Inherit(f), fsat.Sync(m.fd))
}

// kindOf returns the error for a name in .snapcopy that is not a folder.
func (m *Meta) kindOf(dir string) error {
	info, err := os.Lstat(m.Path(dir))
	if err != nil {
		return err
	}
	if info.IsDir() {
		return nil
	}
	return &plainfile.KindError{Is: plainfile.KindOf(info.Mode()), Want: "a folder"}
}

// asideExt ends the names of objects that were put aside.
const asideExt = ".aside"

// putAside renames an object in the place of a derived file or folder. It keeps the object, which may be a person's.
func (m *Meta) putAside(name, kind string) error {
	to, err := m.moveAside(name)
	if err == nil {
		m.note("%s was %s, and has the name %s now", m.Path(name), kind, to)
	}
	return err
}

// moveAside renames an object, and returns its new path.
func (m *Meta) moveAside(name string) (path string, err error) {
	for i := 1; ; i++ {
		to := name + asideExt
		if i > 1 {
			to = fmt.Sprintf("%s%d", to, i)
		}
		err := fsat.RenameNew(m.fd, name, m.fd, to)
		if fsat.IsExist(err) && i < 1000 {
			continue
		}
		return m.Path(to), err
	}
}

// list returns the names in a folder of .snapcopy; none if it is missing. The error wraps plainfile.ErrKind if it is
// not a folder.
func (m *Meta) list(dir string) (names []string, err error) {
	fd, err := fsat.OpenDir(m.fd, cmp.Or(dir, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		if kind := m.kindOf(dir); errors.Is(kind, plainfile.ErrKind) {
			err = kind
		}
		return nil, &fs.PathError{Op: "list", Path: m.Path(dir), Err: err}
	}
	entries, err := fsat.ReadDir(fd, make([]byte, 32<<10))
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return nil, &fs.PathError{Op: "list", Path: m.Path(dir), Err: err}
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// listDerived is list for a folder with derived content: another object in its place counts as empty.
func (m *Meta) listDerived(dir string) ([]string, error) {
	names, err := m.list(dir)
	if errors.Is(err, plainfile.ErrKind) {
		return nil, nil
	}
	return names, err
}

// noteAge is how old an unfinished file is at least when it is removed, if such files are written without the lock.
const noteAge = time.Hour

// needsNoLock reports whether a temporary file is one of a file that is written without the lock: a note of a reader, or
// the record of a run that published nothing.
func needsNoLock(dir, name string) bool {
	return dir == readersDir || dir == RunsDir && strings.Contains(name, unpublishedExt)
}

// removePending removes temporary files of interrupted replacements.
func (m *Meta) removePending() error {
	for _, dir := range []string{"", CatalogsDir, RunsDir, pinsDir, readersDir} {
		files, err := m.listDerived(dir)
		if err != nil {
			return err
		}
		for _, name := range files {
			if !atomicfile.IsPending(name) {
				continue
			}
			path := m.Path(dir, name)
			if info, err := os.Lstat(path); needsNoLock(dir, name) && err == nil && time.Since(info.ModTime()) < noteAge {
				continue
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
