package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
)

// Errors that callers tell apart.
var (
	// ErrNotArchive reports a folder that exists and is neither an archive nor empty.
	ErrNotArchive = errors.New("not an archive")
	// ErrNoArchive reports that no archive exists and none may be made.
	ErrNoArchive = errors.New("there is no archive")
	// ErrNoAccess reports an archive that this user may not open, or may not make.
	ErrNoAccess = errors.New("permission denied")
	// ErrNoRecords reports a folder with snapshots whose .snapcopy is missing.
	ErrNoRecords = errors.New("it contains snapshots, but their records are missing")
	// ErrNewerFormat reports an archive that a newer version of the program has written.
	ErrNewerFormat = errors.New("written by a newer version of snapcopy")
	// ErrLocked reports that another process is writing to the archive.
	ErrLocked = errors.New("archive is locked")
	// ErrNoHardLinks reports a file system that cannot make hard links.
	ErrNoHardLinks = errors.New("file system cannot make hard links")
	// ErrInsideOther reports an archive in a snapshot of another archive, or in its .snapcopy: a snapshot must not
	// change. Such an archive, for example the copy of one in a source, can only be read.
	ErrInsideOther = errors.New("it lies in a snapshot of another archive")
	// ErrNoSnapshot reports a selector that matches no snapshot.
	ErrNoSnapshot = errors.New("no such snapshot")
)

// The layout of an archive.
const (
	MetaDir     = ".snapcopy"
	ArchiveFile = "archive.json"
	LockFile    = "lock"
	CatalogsDir = "catalogs"
	RunsDir     = "runs"
	IndexFile   = "index"
	WorkDir     = "work"
	trashDir    = "trash"
	LatestLink  = "latest"
	CatalogExt  = ".cat"

	formatVersion = 1
	nameLayout    = "2006-01-02T150405Z"
)

// Archive is an open archive. Opening one takes no lock and changes nothing.
type Archive struct {
	Path string // absolute
	Info Info
	// InfoDamage is the reason why archive.json cannot be used, or nil. Lock makes the file anew.
	InfoDamage error

	Root    int // handle of the archive folder
	Meta    *Meta
	Trash   Trash
	Reports Reports
	Readers Readers
	pins    pins
	latest  latestLink
	TopStat fsat.Stat
	Now     func() time.Time // of the command that opened it
	Taker   Taker            // who locks it
	Anchor  uint64           // identity of .snapcopy: the stored inode numbers of catalogs with the same one are valid
}

// NoParentError reports that an archive cannot be made, because the folder to contain it does not exist.
type NoParentError struct{ Archive, Parent string }

func (e *NoParentError) Error() string {
	return fmt.Sprintf("create archive %s: there is no folder %s", e.Archive, e.Parent)
}

// Is makes errors.Is match fs.ErrNotExist.
func (e *NoParentError) Is(target error) bool { return target == fs.ErrNotExist }

// CanCreate returns a NoParentError if the folder that would contain an archive does not exist, and an error if the
// archive would lie in another one. Create reports any other reason.
func CanCreate(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		return &NoParentError{path, parent}
	}
	return OutsideOthers(path)
}

// accessError is the error of a call on the archive at path. It drops the path in err, and replaces a missing
// permission by ErrNoAccess.
func accessError(op, path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s %s: %w", op, path, ErrNoAccess)
	}
	var inner *fs.PathError
	if errors.As(err, &inner) && inner.Path == path {
		err = inner.Err
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}

// Create makes a new archive in a folder that is missing or empty.
func Create(path string, now time.Time) (*Archive, error) { return CreateBy(Taker{}, path, now) }

// CreateBy is Create for a process that may have to wait for another one that makes the same archive.
func CreateBy(by Taker, path string, now time.Time) (*Archive, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := CanCreate(abs); err != nil {
		return nil, err
	}
	if err := os.Mkdir(abs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, accessError("create archive", abs, err)
	}
	names, err := os.ReadDir(abs)
	if err != nil {
		return nil, accessError("create archive", abs, err)
	}
	for _, n := range names {
		if foreign(n) {
			return nil, fmt.Errorf("create archive %s: %w, and not empty: it contains %q", abs, ErrNotArchive, n.Name())
		}
	}
	for _, d := range []string{"", CatalogsDir, RunsDir, WorkDir, trashDir} {
		if err := os.Mkdir(filepath.Join(abs, MetaDir, d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, accessError("create archive", abs, err)
		}
	}
	a := unopened(abs)
	a.Taker = by
	if err := a.openHandles(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if err := a.initialize(now); err != nil {
		return nil, errors.Join(fmt.Errorf("create archive %s: %w", abs, err), a.Close())
	}
	return a, nil
}

// initialize probes the file system and writes archive.json, which makes the folder an archive. If another process
// does the same, the one that gets the lock first does it.
func (a *Archive) initialize(now time.Time) (err error) {
	lock, err := a.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if other, err := Open(a.Path); err == nil {
		a.Info = other.Info
		return other.Close()
	}
	if err := lock.Meta.mendDirs(); err != nil {
		return err
	}
	a.Info = Info{Format: formatVersion, ID: newID(), Created: now.UTC().Truncate(time.Second)}
	if a.Info.Capabilities, err = lock.Probe(); err != nil {
		return err
	}
	return lock.WriteInfo()
}

// OutsideOthers returns an error if an archive at path would lie in a snapshot or in the .snapcopy of another archive.
func OutsideOthers(path string) error {
	archive, is, err := inside.Archive(path)
	if err != nil || !is {
		return err
	}
	return fmt.Errorf("archive %s: %w, %s", path, ErrInsideOther, archive)
}

// foreign reports an entry that keeps a folder from becoming an archive: any but those that mkfs makes at the top of a
// file system, or that an interrupted Create has left.
func foreign(e os.DirEntry) bool { return e.Name() != "lost+found" && e.Name() != MetaDir }

// Open opens an existing archive.
func Open(path string) (*Archive, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	a := unopened(abs)
	if a.Info, a.InfoDamage, err = readInfo(abs); err != nil {
		return nil, err
	}
	if err := a.openHandles(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// unopened returns the archive at an absolute path, of which nothing was read yet.
func unopened(path string) *Archive {
	meta := &Meta{path: filepath.Join(path, MetaDir), fd: fsat.NoDir}
	return &Archive{Path: path, Root: fsat.NoDir, Meta: meta, Trash: Trash{meta}, Reports: Reports{meta}, Readers: Readers{meta}, pins: pins{meta},
		latest: latestLink{path, fsat.NoDir, meta},
		Now:    time.Now}
}

func (a *Archive) openHandles() error {
	var err error
	if a.Root, err = fsat.OpenRoot(a.Path); err != nil {
		return &fs.PathError{Op: "open archive", Path: a.Path, Err: err}
	}
	a.latest.root = a.Root
	if a.Meta.fd, err = fsat.OpenDir(a.Root, MetaDir); err != nil {
		return &fs.PathError{Op: "open archive", Path: a.Meta.Path(), Err: err}
	}
	if err = fsat.StatHandle(a.Root, &a.TopStat); err != nil {
		return &fs.PathError{Op: "stat", Path: a.Path, Err: err}
	}
	var st fsat.Stat
	if err = fsat.StatHandle(a.Meta.fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: a.Meta.Path(), Err: err}
	}
	a.Anchor = anchorOf(&st)
	return nil
}

// anchorOf turns the inode number and the creation time of a folder, which distinguish it from a copy, into one
// number. No program can copy the creation time. (Two new file systems may give the same number to the same folder.)
func anchorOf(st *fsat.Stat) uint64 {
	const odd = 0x9e3779b97f4a7c15 // spreads the bits: 2^64 divided by the golden ratio
	return st.Ino ^ (uint64(st.Btime.Sec)*1_000_000_000+uint64(st.Btime.Nsec))*odd
}

// Close releases the archive's handles.
func (a *Archive) Close() error { return errors.Join(fsat.Close(a.Meta.fd), fsat.Close(a.Root)) }

// CatalogPath returns the path of a snapshot's catalog.
func (a *Archive) CatalogPath(name string) string { return a.Meta.catalog(name) }

// IndexPath is the path of the content-hash index.
func (a *Archive) IndexPath() string { return a.Meta.Path(IndexFile) }

// WorkPath is the folder for temporary files. Only a process with the lock uses it.
func (a *Archive) WorkPath() string { return a.Meta.Path(WorkDir) }

// Snapshots returns the published snapshots, oldest first: the folders with a snapshot's name that have a catalog.
func (a *Archive) Snapshots() ([]Snapshot, error) {
	folders, err := snapshotDirs(a.Path)
	if err != nil {
		return nil, err
	}
	catalogs, err := a.Meta.list(CatalogsDir)
	if err != nil {
		return nil, err
	}
	var list []Snapshot
	for _, name := range folders {
		if _, found := slices.BinarySearch(catalogs, name+CatalogExt); found {
			list = append(list, a.snapshot(name))
		}
	}
	return list, nil
}

// snapshot describes the snapshot of that name.
func (a *Archive) snapshot(name string) Snapshot {
	t, _ := ParseName(name)
	return Snapshot{Name: name, Time: t, CatalogPath: a.CatalogPath(name), Dir: filepath.Join(a.Path, name)}
}

func names(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Name()
	}
	return out, nil
}
