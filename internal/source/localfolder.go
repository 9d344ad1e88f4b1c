package source

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
)

// localFolder is a folder of a Local source.
type localFolder struct {
	of     *Local
	parent *localFolder // nil: the top
	name   string
	fd     int
	self   fsat.Stat // as it was opened
	fresh  bool      // nobody has asked for self yet
	listed bool      // by fd, which then is at the end of the folder
}

// describe looks at the folder that was just opened.
func (f *localFolder) describe() error {
	if err := fsat.StatHandle(f.fd, &f.self); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	f.fresh = true
	return nil
}

// Stat describes the folder.
func (f *localFolder) Stat(st *Stat) error {
	if f.fresh {
		f.fresh, st.Stat = false, f.self
	} else if err := fsat.StatHandle(f.fd, &st.Stat); err != nil {
		return err
	}
	f.of.mark(st)
	return nil
}

// List returns the names in the folder. A listing moves its handle, so every further listing opens another handle.
func (f *localFolder) List(buf []byte) ([]fsat.DirEntry, error) {
	if err := f.of.step("list", f.name); err != nil {
		return nil, err
	}
	if !f.listed {
		f.listed = true
		return fsat.ReadDir(f.fd, buf)
	}
	fd, err := fsat.OpenDir(f.fd, ".")
	if err != nil {
		return nil, err
	}
	list, err := fsat.ReadDir(fd, buf)
	return list, errors.Join(err, fsat.Close(fd))
}

// Look describes entries, by one system call for each.
func (f *localFolder) Look(names []fsat.DirEntry, list []Stat) {
	for i := range names {
		if names[i].Type == fsat.Directory {
			continue
		}
		st := &list[i]
		err := f.of.step("stat", names[i].Name)
		if err == nil {
			err = fsat.StatAt(f.fd, names[i].Name, &st.Stat)
		}
		if err != nil {
			err = f.lookAgain(names[i].Name, st, err)
		}
		if f.of.mark(st); err != nil {
			st.Err = err
		}
	}
}

// lookAgain looks a second time at an entry that was listed but seems gone. For an entry on another file system it
// returns ErrElsewhere.
func (f *localFolder) lookAgain(name string, st *Stat, err error) error {
	if fsat.IsGone(err) {
		err = fsat.StatAt(f.fd, name, &st.Stat)
	}
	if err == nil {
		return nil
	}
	return f.elsewhere(name, err)
}

// elsewhere adds ErrElsewhere to the error of a name on another file system.
func (f *localFolder) elsewhere(name string, err error) error {
	if f.of.Filter.OneFileSystem {
		if dev, ok := fsat.DeviceAt(f.fd, name); ok && dev != f.of.dev {
			return fmt.Errorf("%w: %w", ErrElsewhere, err)
		}
	}
	return err
}

// Open opens a folder directly below. It refuses one that can be listed and not searched: nothing in it can be looked at.
func (f *localFolder) Open(name string) (Folder, error) {
	if err := f.of.step("open", name); err != nil {
		return nil, err
	}
	fd, err := fsat.OpenDir(f.fd, name)
	if fsat.IsNoDir(err) {
		return nil, err
	}
	if err != nil {
		return nil, f.elsewhere(name, err)
	}
	below := &localFolder{of: f.of, parent: f, name: name, fd: fd}
	if err = below.describe(); err == nil {
		err = fsat.CanSearch(fd, &below.self)
	}
	if err != nil {
		return nil, errors.Join(err, below.Close())
	}
	return below, nil
}

// OpenFile opens a file. For the first file of a file system it syncs that file system.
func (f *localFolder) OpenFile(name string, st *Stat) (File, error) {
	if err := f.of.step("open", name); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	fd, err := fsat.OpenFile(f.fd, name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	file := &localFile{contentFile: contentFile{fd: fd}, of: f.of, name: name}
	if err := file.Stat(st); err != nil {
		return nil, errors.Join(fmt.Errorf("stat: %w", err), file.Close())
	}
	if st.Type == fsat.Regular && !f.of.sync(st.Dev, fd) {
		file.unsynced = true
		st.Flags |= index.Racy
	}
	return file, nil
}

// Metadata reads extended attributes, file attributes, and the target of a symbolic link.
func (f *localFolder) Metadata(name string, st *Stat) (m Metadata) {
	if m.Err = f.of.step("metadata", cmp.Or(name, f.name)); m.Err != nil {
		return m
	}
	switch {
	case name == "":
		return metadataOf(f.fd)
	case st.Type == fsat.Symlink:
		if m.Target, m.TargetErr = fsat.Readlink(f.fd, name, st.Size); m.TargetErr != nil {
			return m
		}
	}
	m.Xattrs, m.Err = fsat.XattrsAt(f.fd, name)
	if st.Type != fsat.Regular || m.Err != nil {
		return m
	}
	fd, err := fsat.OpenFile(f.fd, name)
	if err != nil {
		m.Err = err
		return m
	}
	m.Attrs, err = fsat.Attrs(fd)
	m.Err = errors.Join(err, fsat.Close(fd))
	return m
}

func metadataOf(fd int) (m Metadata) {
	var err error
	m.Attrs, err = fsat.Attrs(fd)
	m.Xattrs, m.Err = fsat.Xattrs(fd)
	m.Err = errors.Join(m.Err, err)
	return m
}

// LeaveOut asks the filters, and checks whether an interrupted restore has left the entry.
func (f *localFolder) LeaveOut(name string, st *Stat) (Reason, error) {
	if name == "" {
		return f.leaveOutSelf()
	}
	if rule, err := f.leftBehind(name, st); err != nil || rule != "" {
		return Reason{Rule: rule}, err
	}
	rule, err := f.of.Filter.File(f.fd, name, &st.Stat)
	return Reason{rule, rule != ""}, err
}

// leftBehind returns the rule for a file that a restore has left, or "".
func (f *localFolder) leftBehind(name string, st *Stat) (rule string, err error) {
	if !strings.HasPrefix(name, leftover.Prefix) {
		return "", nil
	}
	if _, ok := leftover.ParseTemporary(name, f.self.Ino); ok {
		return ruleTemporary, nil
	}
	if st.Type != fsat.Regular || !leftover.IsNoteName(name) {
		return "", nil
	}
	if _, ok, err := leftover.ReadNote(f.fd, name); err != nil || !ok {
		return "", err
	}
	return RuleNote, nil
}

func (f *localFolder) leaveOutSelf() (Reason, error) {
	if f.of.Archive != nil && f.self.SameFile(f.of.Archive) {
		return Reason{RuleArchive, true}, nil
	}
	if rule := f.leftBehindSelf(); rule != "" {
		return Reason{rule, true}, nil
	}
	rule, err := f.of.Filter.Dir(f.fd, &f.self)
	return Reason{rule, rule != ""}, err
}

// leftBehindSelf is leftBehind for the folder itself.
func (f *localFolder) leftBehindSelf() string {
	if !strings.HasPrefix(f.name, ".") {
		return ""
	}
	if _, ok := leftover.ParseTemporary(f.name, f.parent.self.Ino); ok {
		return ruleTemporary
	}
	if leftover.IsSwap(f.name, f.fd) {
		return ruleSwap
	}
	if f.of.Filter.OneFileSystem {
		return "" // the mounted tree is not in the snapshot
	}
	mountpoint, ok := leftover.Instant(f.name, f.fd)
	var st fsat.Stat
	if ok && fsat.StatAt(f.parent.fd, mountpoint, &st) == nil && st.Mounted {
		return ruleInstant
	}
	return ""
}

// Close closes the handle.
func (f *localFolder) Close() error {
	err := fsat.Close(f.fd)
	f.fd = fsat.NoDir
	return err
}

// Reopen opens the folder again, and checks that it is still the folder described before.
func (f *localFolder) Reopen(path string, below Folder) error {
	var fd int
	var err error
	if below, ok := below.(*localFolder); ok {
		fd, err = fsat.OpenParent(below.fd)
	} else {
		fd, err = fsat.OpenPath(f.of.fd, path)
	}
	if err != nil {
		return err
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && !st.SameFile(&f.self) {
		err = ErrMoved
	}
	if err != nil {
		return errors.Join(err, fsat.Close(fd))
	}
	f.fd = fd
	return nil
}
