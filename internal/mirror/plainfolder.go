package mirror

import (
	"errors"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// plainFolder is a folder of a Plain mirror.
type plainFolder struct {
	counterpart
	of *Plain
	fd int
}

// Make makes a folder, with access for us alone while it is filled.
func (f *plainFolder) Make(name string) (Folder, error) {
	const op = "make directory"
	if err := f.of.step("mkdir"); err != nil {
		return nil, failed(op, err)
	}
	if err := fsat.Mkdir(f.fd, name, 0o700); err != nil {
		return nil, nameFailed(op, err)
	}
	fd, err := fsat.OpenDir(f.fd, name)
	if err != nil {
		return nil, failed("open", err)
	}
	return &plainFolder{of: f.of, fd: fd, counterpart: f.below(name)}, nil
}

// Keep makes a hard link to the stored file of the same name in the counterpart.
func (f *plainFolder) Keep(name string) error {
	if f.counterpart.fd < 0 {
		return failed("link", errNoCounterpart)
	}
	return f.Link(f.counterpart.fd, name, name)
}

// Link makes a hard link.
func (f *plainFolder) Link(from int, stored, name string) error {
	if err := f.of.step("link"); err != nil {
		return failed("link", err)
	}
	return failed("link", fsat.Link(from, stored, f.fd, name))
}

// Locate looks at the name.
func (f *plainFolder) Locate(e *index.Entry) error {
	var st fsat.Stat
	if err := fsat.StatAt(f.fd, e.Name, &st); err != nil {
		return failed("stat", err)
	}
	e.Stored, e.Blocks = st.Ino, uint64(st.Blocks)
	return nil
}

// Create makes an empty file.
func (f *plainFolder) Create(e *index.Entry, set []fsat.Xattr) (File, error) {
	if err := f.of.step("create"); err != nil {
		return nil, failed("create", err)
	}
	made := e.Mode & 0o777
	if len(set) > 0 {
		made |= 0o600 // the owner may set extended attributes only on a file that he may write to
	}
	fd, err := fsat.Create(f.fd, e.Name, made)
	if err != nil {
		return nil, nameFailed("create", err)
	}
	return &plainFile{of: f.of, fd: fd, made: made}, nil
}

// MakeSpecial makes an entry that is neither a regular file nor a folder, and looks whether it has the type, target and
// device number that were asked for: some file systems in user space make something else without an error.
func (f *plainFolder) MakeSpecial(e *index.Entry, set []fsat.Xattr) (lost, err error) {
	stored, err := f.makeSpecial(e)
	if err != nil || !stored {
		return nil, err
	}
	flags := e.Flags
	st, lost, err := f.of.setMetadata(tree.Named(f.fd, e.Name), e, set, 0)
	if err != nil {
		return nil, failed("set metadata of", err)
	}
	if !isAsMade(f.fd, e, &st) {
		e.Flags = flags | index.NotStored
		return lost, f.Remove(e.Name)
	}
	e.Stored, e.Blocks = st.Ino, uint64(st.Blocks)
	return lost, nil
}

// makeSpecial makes the name. It returns false, with a flag in the entry, if the file system cannot store it.
func (f *plainFolder) makeSpecial(e *index.Entry) (bool, error) {
	can, make := f.of.at.Specials, f.makeNode
	if e.Type == index.Symlink {
		can, make = f.of.at.Symlinks, f.makeSymlink
	}
	if !can { // not even tried: the error would depend on the file system
		e.Flags |= index.NotStored
		return false, nil
	}
	err := f.of.step("create")
	if err == nil {
		if err = make(e); err == nil {
			return true, nil
		}
		if fsat.IsRefused(err) || fsat.IsExist(err) || fsat.IsNameRefused(err) {
			e.Flags |= index.NotStored
			return false, nil
		}
	}
	return false, failed("make", err)
}

func (f *plainFolder) makeSymlink(e *index.Entry) error {
	return fsat.MakeSymlink(e.Target, f.fd, e.Name)
}

func (f *plainFolder) makeNode(e *index.Entry) error {
	err := fsat.MakeNode(f.fd, e.Name, tree.KindOf(e.Type), e.Mode, e.Major, e.Minor)
	if err != nil && tree.IsDevice(e.Type) {
		f.of.lacks.Or(uint64(fsat.MissingFor(err, fsat.CapMknod)))
	}
	return err
}

// isAsMade reports whether a symbolic link or special file has the target or device number that was asked for.
func isAsMade(dir int, e *index.Entry, stored *fsat.Stat) bool {
	if e.Type == index.Symlink {
		if stored.Type == fsat.Symlink && uint64(stored.Size) == e.Size {
			return true
		}
		target, err := fsat.Readlink(dir, e.Name, stored.Size)
		return err == nil && target == e.Target
	}
	return tree.DiffStat(e, stored)&(tree.Type|tree.Rdev) == 0
}

// Remove removes a name.
func (f *plainFolder) Remove(name string) error { return failed("remove", fsat.Unlink(f.fd, name)) }

// Finish sets the metadata. The top must stay writable for us until it has its final place, because without privileges
// a folder cannot be moved otherwise.
func (f *plainFolder) Finish(e *index.Entry, set []fsat.Xattr, entries []index.Entry, buf []byte) (Finished, error) {
	var done Finished
	as := *e
	if f.above == nil {
		as.Mode |= 0o700
	}
	st, lost, err := f.of.setFolder(tree.Opened(f.fd), &as, set)
	if err != nil {
		return done, failed("set metadata of", err)
	}
	e.Flags, e.Stored, e.Blocks = as.Flags, st.Ino, uint64(st.Blocks)
	done.Lost = lost
	if done.Renamed, err = f.countRenamed(entries, buf); err != nil {
		return done, failed("list", err)
	}
	if f.of.at.NeedsFsync {
		err = fsat.Sync(f.fd)
	}
	return done, failed("sync", err)
}

// countRenamed counts the entries that the file system lists under another name than the given one, under which it
// finds them nevertheless: some file systems keep accents as characters of their own, or drop a dot at the end.
func (f *plainFolder) countRenamed(entries []index.Entry, buf []byte) (n uint64, err error) {
	if f.of.at.NamesKept {
		return 0, nil
	}
	fd, err := fsat.OpenDir(f.fd, ".")
	if err != nil {
		return 0, err
	}
	list, err := fsat.ReadDir(fd, buf)
	if err := errors.Join(err, fsat.Close(fd)); err != nil {
		return 0, err
	}
	for i := range entries {
		_, listed := slices.BinarySearchFunc(list, entries[i].Name, func(d fsat.DirEntry, name string) int {
			return strings.Compare(d.Name, name)
		})
		if entries[i].Flags&index.NotStored == 0 && !listed {
			n++
		}
	}
	return n, nil
}

// Close closes the handles.
func (f *plainFolder) Close() error {
	err := errors.Join(f.counterpart.close(), fsat.Close(f.fd))
	f.fd = fsat.NoDir
	return err
}

// Reopen opens the handles again. By the names from the top that takes long for a deep folder, but leaves no other
// handle open.
func (f *plainFolder) Reopen(below Folder) (err error) {
	from, _ := below.(*plainFolder)
	var previous *counterpart
	if from != nil {
		previous = &from.counterpart
		f.fd, err = fsat.OpenParent(from.fd)
	} else {
		f.fd, err = fsat.OpenPath(f.of.at.Work, f.path(topName))
	}
	if err != nil {
		f.fd = fsat.NoDir
		return failed("open", err)
	}
	f.reopen(previous)
	return nil
}
