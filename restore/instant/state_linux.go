package instant

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/jsonfile"
	"snapcopy/internal/leftover"
	"snapcopy/internal/overlay"
)

// phase is the progress of a mountpoint.
type phase string

const (
	making   phase = "making"   // nobody has seen the tree yet; all of it can be made anew
	mounted  phase = "mounted"  // upper has changes; everything else is in the snapshot
	cleaning phase = "cleaning" // upper is complete, and stops being an upper folder: never mount it again
	clean    phase = "clean"    // upper is an ordinary tree, or has become the mountpoint
)

// stateFile is the content of state.json.
type stateFile struct {
	Format     int       `json:"format"`
	Phase      phase     `json:"phase"`
	ID         string    `json:"id"`           // the device of the mount
	Archive    []byte    `json:"archive_path"` // any bytes, so in base64
	ArchiveID  string    `json:"archive_id"`
	Snapshot   string    `json:"snapshot"`
	Mountpoint string    `json:"mountpoint"` // only to tell people
	Since      time.Time `json:"since"`
	UserXattr  bool      `json:"user_xattr"`
	Indexed    bool      `json:"indexed"`               // the kernel keeps link groups together
	Checked    bool      `json:"checked"`               // all stored files were compared with their hashes
	Upper      uint64    `json:"upper_inode,omitempty"` // of the tree, from cleaning on
}

const (
	stateFormat = 1

	upperName   = "upper"
	workName    = "work"
	stateName   = "state.json"
	damagedName = "damaged"
	sparseName  = "sparse"
)

// instant is a mountpoint with its state folder, locked.
type instant struct {
	stateFile
	path   string // of the mountpoint, absolute
	leaf   string // its name
	folder string // path of the state folder
	made   bool   // the mountpoint was missing

	attached bool // the tree was mounted by this call; only files are left to be closed

	parent int // handles: of the folder that contains both
	state  int // of the state folder
	upper  int // NoDir until openLayers
	work   int
	lock   *os.File
	fault  func(step string) error
}

func locate(mountpoint string) (in *instant, err error) {
	if !fsat.HasProc() {
		return nil, fmt.Errorf("%w, and only /proc tells which file systems are mounted", fsat.ErrNoProc)
	}
	path, err := Path(mountpoint)
	if err != nil {
		return nil, err
	}
	leaf := filepath.Base(path)
	if leaf == "/" {
		err := fmt.Errorf("%w: it has no folder above it", ErrUnsuitable)
		return nil, &fs.PathError{Op: "mount at", Path: path, Err: err}
	}
	return &instant{path: path, leaf: leaf, folder: filepath.Join(filepath.Dir(path), stateFolderName(leaf)),
		parent: fsat.NoDir, state: fsat.NoDir, upper: fsat.NoDir, work: fsat.NoDir}, nil
}

func stateFolderName(leaf string) string {
	const extension, longest = leftover.InstantExt, 255
	if len(leaf)+1+len(extension) > longest {
		sum := sha256.Sum256([]byte(leaf))
		leaf = hex.EncodeToString(sum[:16])
	}
	return "." + leaf + extension
}

// open opens and locks the state folder; create makes it if it is missing. The folder is trusted only if no other user
// could have made it.
func (in *instant) open(create bool) (err error) {
	if in.parent, err = fsat.OpenRoot(filepath.Dir(in.path)); err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Dir(in.path), Err: err}
	}
	made := false
	if create {
		err := fsat.Mkdir(in.parent, filepath.Base(in.folder), 0o700)
		if made = err == nil; !made && !fsat.IsExist(err) {
			return &fs.PathError{Op: "make", Path: in.folder, Err: err}
		}
	}
	if in.state, err = fsat.OpenDir(in.parent, filepath.Base(in.folder)); err != nil {
		if fsat.IsNoDir(err) {
			err = ErrNotInstant
		}
		return &fs.PathError{Op: "open", Path: in.folder, Err: err}
	}
	if err := in.isPrivate(made); err != nil {
		return err
	}
	if !made {
		if err := in.isOurs(); err != nil {
			return err
		}
	}
	return in.lockFolder()
}

// isPrivate returns an error if another user owns the state folder or may enter it. It removes a folder that was just
// made: a file system that does not keep owner and mode is unsuitable.
func (in *instant) isPrivate(made bool) error {
	var st fsat.Stat
	if err := fsat.StatHandle(in.state, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: in.folder, Err: err}
	}
	if st.UID == uint32(os.Geteuid()) && st.Mode&0o077 == 0 {
		return nil
	}
	err := errors.New("it belongs to somebody else, or others can enter it")
	if made {
		err = fmt.Errorf("%w: the file system there has no owners or permissions", ErrUnsuitable)
		err = errors.Join(err, fsat.Rmdir(in.parent, filepath.Base(in.folder)))
	}
	return &fs.PathError{Op: "open", Path: in.folder, Err: err}
}

func (in *instant) lockFolder() (err error) {
	if in.lock, err = os.OpenFile(in.at("lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	free, err := fsat.LockExclusive(int(in.lock.Fd()))
	if err != nil {
		return &fs.PathError{Op: "lock", Path: in.folder, Err: err}
	}
	if !free {
		return &fs.PathError{Op: "lock", Path: in.path, Err: ErrLocked}
	}
	return nil
}

// isOurs returns an error if an existing folder is no state folder: one has a state, or no more than the entries that
// precede it.
func (in *instant) isOurs() error {
	fd, err := fsat.OpenDir(in.state, ".") // a listing moves its handle
	if err != nil {
		return &fs.PathError{Op: "open", Path: in.folder, Err: err}
	}
	list, err := fsat.ReadDir(fd, make([]byte, 64<<10))
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return &fs.PathError{Op: "list", Path: in.folder, Err: err}
	}
	if slices.ContainsFunc(list, func(e fsat.DirEntry) bool { return e.Name == stateName }) {
		return nil
	}
	var st fsat.Stat
	for _, e := range list {
		switch {
		case atomicfile.IsPending(e.Name):
		case e.Name == "lock" && fsat.StatAt(in.state, e.Name, &st) == nil && st.Type == fsat.Regular && st.Size == 0:
		default:
			err = fmt.Errorf("%w: a folder that snapcopy has not made has the name of its state folder", ErrUnsuitable)
			return &fs.PathError{Op: "open", Path: in.folder, Err: err}
		}
	}
	return nil
}

// at returns the path of a name in the state folder, through its handle.
func (in *instant) at(name string) string { return pathAt(in.state, name) }

// named gives the files of the state folder their names in an error, instead of the paths through its handle.
func (in *instant) named(err error) error {
	const through = "/proc/self/fd/"
	var one *fs.PathError
	if errors.As(err, &one) && strings.HasPrefix(one.Path, through) {
		one.Path = filepath.Join(in.folder, filepath.Base(one.Path))
	}
	var two *os.LinkError
	if errors.As(err, &two) && strings.HasPrefix(two.Old, through) {
		two.Old, two.New = filepath.Join(in.folder, filepath.Base(two.Old)), filepath.Join(in.folder, filepath.Base(two.New))
	}
	return err
}

func pathAt(dir int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name) }

// load reads state.json. found is false if there is none.
func (in *instant) load() (found bool, err error) {
	var s stateFile
	err = jsonfile.Read(in.at(stateName), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var reading *fs.PathError // which has the name
	if err != nil && !errors.As(err, &reading) {
		err = fmt.Errorf("%s: %w", filepath.Join(in.folder, stateName), err)
	}
	if err != nil {
		return false, err
	}
	if s.Format != stateFormat {
		return false, fmt.Errorf("%s: format %d, this program knows %d", filepath.Join(in.folder, stateName), s.Format,
			stateFormat)
	}
	in.stateFile = s
	return true, nil
}

// syncAll makes everything durable that was written to the file system. That can take long if other processes write to
// it too.
func (in *instant) syncAll() error {
	if err := fsat.SyncFS(in.state); err != nil {
		return &fs.PathError{Op: "sync", Path: in.folder, Err: err}
	}
	return nil
}

// save makes a new phase durable. The work that the phase stands for must be durable before.
func (in *instant) save(p phase) error {
	if err := in.step("save " + string(p)); err != nil {
		return err
	}
	in.Phase = p
	if err := jsonfile.Write(in.at(stateName), &in.stateFile); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (in *instant) step(name string) error {
	if in.fault == nil {
		return nil
	}
	return in.fault(name)
}

// openLayers opens upper and work.
func (in *instant) openLayers() error {
	for _, l := range []struct {
		fd   *int
		name string
	}{{&in.upper, upperName}, {&in.work, workName}} {
		if *l.fd >= 0 {
			continue
		}
		fd, err := fsat.OpenDir(in.state, l.name)
		if err != nil {
			return &fs.PathError{Op: "open", Path: filepath.Join(in.folder, l.name), Err: err}
		}
		*l.fd = fd
	}
	return nil
}

// look describes our mount at the mountpoint. Another mount there is an error.
func (in *instant) look() (overlay.Place, error) {
	p, err := overlay.Look(in.parent, in.leaf)
	if err != nil {
		return p, &fs.PathError{Op: "stat", Path: in.path, Err: err}
	}
	if p.Mounted && (in.ID == "" || p.Name != in.ID) {
		return p, &fs.PathError{Op: "mount at", Path: in.path,
			Err: fmt.Errorf("%w: something else is mounted there", ErrUnsuitable)}
	}
	return p, nil
}

// mount makes the overlay, which is not attached yet.
func (in *instant) mount(snapshotDir string) (fd int, err error) {
	lower, err := fsat.OpenRoot(snapshotDir)
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open snapshot", Path: snapshotDir, Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(lower)) }()
	if err := in.openLayers(); err != nil {
		return fsat.NoDir, err
	}
	l := overlay.Layers{Lower: lower, Upper: in.upper, Work: in.work, Name: in.ID, UserXattr: in.UserXattr,
		Index: in.Indexed}
	for begin := time.Now(); ; time.Sleep(releasePause) {
		fd, err = overlay.New(l, in.parent)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, overlay.ErrInUse) || time.Since(begin) > releasePatience {
			return fsat.NoDir, &fs.PathError{Op: "mount at", Path: in.path, Err: err}
		}
	}
}

// The kernel dismantles an unmounted overlay, or one of a killed process, only some time later. Until then its folders
// seem to be in use.
const (
	releasePatience = 2 * time.Second
	releasePause    = 50 * time.Millisecond
)

// attach mounts the overlay on the mountpoint, which has to be an empty folder.
func (in *instant) attach(fd int) (err error) {
	dir, err := in.openMountpoint()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	if err := in.step("attach"); err != nil {
		return err
	}
	if err := overlay.Attach(fd, dir); err != nil {
		return &fs.PathError{Op: "mount at", Path: in.path, Err: err}
	}
	in.attached = true
	return in.step("close")
}

// openMountpoint opens the folder itself, on which nothing is mounted, and checks that it is suitable.
func (in *instant) openMountpoint() (fd int, err error) {
	fd, err = fsat.OpenDir(in.parent, in.leaf)
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open", Path: in.path, Err: err}
	}
	var st, above fsat.Stat
	err = errors.Join(fsat.StatHandle(fd, &st), fsat.StatHandle(in.parent, &above))
	if err == nil && st.Dev != above.Dev {
		err = fmt.Errorf("%w: it is not on the file system of the folder above it", ErrUnsuitable)
	}
	if err == nil {
		var list []fsat.DirEntry
		if list, err = fsat.ReadDir(fd, make([]byte, 4096)); err == nil && len(list) > 0 {
			err = fmt.Errorf("%w: it has %q", ErrNotEmpty, list[0].Name)
		}
	}
	if err != nil {
		return fsat.NoDir, errors.Join(&fs.PathError{Op: "mount at", Path: in.path, Err: err}, fsat.Close(fd))
	}
	return fd, nil
}

func (in *instant) closeLayers() error {
	err := errors.Join(fsat.Close(in.upper), fsat.Close(in.work))
	in.upper, in.work = fsat.NoDir, fsat.NoDir
	return err
}

func (in *instant) close() error {
	err := errors.Join(in.closeLayers(), fsat.Close(in.state), fsat.Close(in.parent))
	if in.lock != nil {
		err = errors.Join(err, fsat.Unlock(int(in.lock.Fd())), in.lock.Close())
	}
	return err
}

func readInstant(mountpoint string) (s State, err error) {
	in, err := locate(mountpoint)
	if err != nil {
		return s, err
	}
	defer func() { err = in.named(errors.Join(err, in.close())) }()
	if err := in.open(false); err != nil {
		return s, err
	}
	found, err := in.load()
	if err != nil {
		return s, err
	}
	if !found { // leftover of an interrupted removal
		return s, errors.Join(&fs.PathError{Op: "settle", Path: in.path, Err: ErrNotInstant}, in.removeFolder())
	}
	return State{
		Mountpoint: in.path, Folder: in.folder, Archive: string(in.Archive), ArchiveID: in.ArchiveID,
		Snapshot: in.Snapshot, Since: in.Since, Unfinished: in.Phase == making,
		NeedsArchive: in.Phase == making || in.Phase == mounted,
	}, nil
}
