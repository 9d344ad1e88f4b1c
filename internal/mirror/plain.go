package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// Plain is a mirror of plain folders, on any file system. A file that the archive has gets a further hard link, which
// costs one system call and no space. The folders are made anew for each snapshot.
type Plain struct {
	at     Place
	umask  uint32
	set    tree.Setter // with the user and group of the process
	lacks  atomic.Uint64
	stored xattrSets
	trial  sync.Mutex // of the file with the name trialName
	inner  folders.Cache[string]
	top    int // handle for opening folders of inner; NoDir: not open yet
}

// Place is the place of a Plain mirror in its archive, and what it has to know of that.
type Place struct {
	Root     int    // handle of the archive's folder
	RootPath string // its path, for errors
	Work     int    // handle of the folder in which the mirror grows
	WorkPath string
	Previous string // name of the previous snapshot; "": there is none
	FileSystem
	// Fault, if set, is called with the name of each step that changes the archive, before the step; its error replaces
	// the step. For tests.
	Fault func(step string) error
}

// The names in the work folder: the top of the mirror, and a file for areTooLarge.
const (
	topName   = "tree"
	trialName = "xattrs"
)

// NewPlain returns a mirror that will grow in a place. The handles stay the caller's, and open until Close.
func NewPlain(at Place) *Plain {
	p := &Plain{at: at, umask: fsat.Umask(), top: fsat.NoDir}
	p.set = tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Readable: true, Fault: at.Fault}
	p.inner.Open = p.openInner
	return p
}

// openInner opens a folder by its path below the top, for inner, which calls it by one goroutine at a time. The top
// stays open, which saves a call for each further folder.
func (p *Plain) openInner(dir string) (fd int, err error) {
	if p.top == fsat.NoDir {
		if p.top, err = fsat.OpenDir(p.at.Work, topName); err != nil {
			p.top = fsat.NoDir
			return fsat.NoDir, err
		}
	}
	return fsat.OpenPath(p.top, dir)
}

func (p *Plain) step(name string) error {
	if p.at.Fault == nil {
		return nil
	}
	return p.at.Fault(name)
}

// Top makes the folder that will become the snapshot. It removes a default ACL and the set-group-ID bit that the folder
// inherits from the archive: only the source determines a snapshot.
func (p *Plain) Top() (Folder, error) {
	if err := fsat.Mkdir(p.at.Work, topName, 0o700); err != nil {
		return nil, err
	}
	fd, err := fsat.OpenDir(p.at.Work, topName)
	if err != nil {
		return nil, err
	}
	if err := p.disinherit(fd); err != nil {
		return nil, errors.Join(err, fsat.Close(fd))
	}
	return &plainFolder{of: p, fd: fd, counterpart: topCounterpart(p.at.Root, p.at.Previous)}, nil
}

// disinherit takes off the new top all that it inherits from the folder it was made in.
func (p *Plain) disinherit(fd int) error {
	for _, acl := range []string{tree.DefaultACL, tree.AccessACL} {
		if err := fsat.RemoveXattr(fd, acl); err != nil {
			return err
		}
	}
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil || !p.at.Modes {
		return err
	}
	if st.Mode != 0o700 {
		if err := fsat.Chmod(fd, 0o700); err != nil {
			return err
		}
	}
	if st.GID != p.set.GID { // entries made in it would inherit it, too
		if err := fsat.Chown(fd, p.set.UID, p.set.GID); err != nil && !fsat.IsRefused(err) {
			return err
		}
	}
	return nil
}

// In calls do with an open folder of the mirror. Folders used recently stay open; the calls of do follow one another.
func (p *Plain) In(dir string, do func(fd int) error) error { return p.inner.In(dir, do) }

// Lacks returns the privileges whose lack kept metadata from being set.
func (p *Plain) Lacks() fsat.Privileges { return fsat.Privileges(p.lacks.Load()) }

// Sync writes the whole mirror to the disk. If no single call can do that, each inode was synced when it was made.
func (p *Plain) Sync() error {
	if err := p.step("sync"); err != nil {
		return err
	}
	if err := fsat.SyncFS(p.at.Root); err != nil {
		return &fs.PathError{Op: "sync", Path: p.at.RootPath, Err: err}
	}
	return nil
}

// Publish renames the mirror into place, which makes the snapshot exist.
func (p *Plain) Publish(name string) error {
	if err := p.step("publish"); err != nil {
		return err
	}
	var top, placed fsat.Stat
	if err := fsat.StatAt(p.at.Work, topName, &top); err != nil {
		return &fs.PathError{Op: "stat", Path: filepath.Join(p.at.WorkPath, topName), Err: err}
	}
	err := fsat.RenameNew(p.at.Work, topName, p.at.Root, name)
	// A network file system may have renamed and still report a failure, because it received the request twice.
	if err != nil && (fsat.StatAt(p.at.Root, name, &placed) != nil || !placed.SameFile(&top)) {
		return &fs.PathError{Op: "rename to", Path: filepath.Join(p.at.RootPath, name), Err: err}
	}
	return nil
}

// Discard removes the mirror, which frees its space.
func (p *Plain) Discard() error {
	if err := rmtree.Remove(p.at.Work, topName); err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(p.at.WorkPath, topName), Err: err}
	}
	return nil
}

// Close closes the folders that In has opened.
func (p *Plain) Close() error { return errors.Join(p.inner.Close(), fsat.Close(p.top)) }
