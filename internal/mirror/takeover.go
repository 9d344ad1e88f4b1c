package mirror

import (
	"errors"
	"io/fs"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// TakeOver makes the file's second name in this folder. A file with another second name could be one of a published
// snapshot, which nobody may write to.
func (f *plainFolder) TakeOver(from int, stored string, e *index.Entry) (File, bool, error) {
	var st fsat.Stat
	if err := fsat.StatAt(from, stored, &st); err != nil || st.Type != fsat.Regular || st.Ino != e.Stored || st.Nlink != 1 {
		return nil, false, nil
	}
	if err := f.Link(from, stored, e.Name); err != nil {
		if fsat.IsRefused(err) || fsat.IsGone(err) || fsat.IsExist(err) {
			return nil, false, nil
		}
		return nil, false, err
	}
	fd, err := openToWrite(f.fd, e.Name)
	if err == nil {
		if err = asNew(fd, &st); err == nil {
			return &plainFile{of: f.of, fd: fd, made: 0}, true, nil
		}
		err = errors.Join(err, fsat.Close(fd))
	}
	if fsat.IsRefused(err) || errors.Is(err, errOtherFile) {
		return nil, false, f.Remove(e.Name)
	}
	return nil, false, failed("open", err)
}

var errOtherFile = errors.New("another file has taken its name")

// openToWrite opens a file of this user that may deny it access.
func openToWrite(dir int, name string) (int, error) {
	fd, err := fsat.OpenForWriting(dir, name)
	if !errors.Is(err, fs.ErrPermission) {
		return fd, err
	}
	if err := fsat.ChmodAt(dir, name, 0o600); err != nil {
		return fsat.NoDir, err
	}
	return fsat.OpenForWriting(dir, name)
}

// asNew makes sure that an open file is the one described, with its name in the mirror as its only further one, and
// gives it the mode of a new file for this user alone.
func asNew(fd int, described *fsat.Stat) error {
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return err
	}
	if !st.SameFile(described) || st.Nlink != 2 {
		return errOtherFile
	}
	return fsat.Chmod(fd, 0o600)
}
