// Package plainfile opens files that snapcopy itself has made. Anything may have come into their place: a link
// restored by a backup tool, a pipe made by a script. The package opens regular files only, never follows a symbolic
// link in the last element of a path, and never waits for the other end of a pipe or for a device.
package plainfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrKind is wrapped by the error for a name of the wrong type: a pipe or a link in the place of a file.
var ErrKind = errors.New("not the kind of file that belongs there")

// KindError has the type of a name, and the type that was expected.
type KindError struct{ Is, Want string }

func (k *KindError) Error() string { return "it is " + k.Is + ", not " + k.Want }
func (k *KindError) Unwrap() error { return ErrKind }

// KindOf returns words for the type of a file.
func KindOf(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// Open opens the regular file at path for reading. The error wraps ErrKind if path is of another type.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// OpenFile is os.OpenFile for regular files.
func OpenFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, wrongKind(path, info)
	}
	f, err := os.OpenFile(path, flag|quietly, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() { // it has just been exchanged
		err = wrongKind(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func wrongKind(path string, info fs.FileInfo) error {
	return &fs.PathError{Op: "open", Path: path, Err: &KindError{KindOf(info.Mode()), "a file"}}
}

// ErrTooLarge is wrapped by the error for a file that is larger than any that belongs in its place.
var ErrTooLarge = errors.New("it is too large to be a file that snapcopy has written")

// Read returns the content of the regular file at path, which has at most that many bytes. Of a larger file it reads
// nothing, and the error wraps ErrTooLarge.
func Read(path string, most int64) (content []byte, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, info.Size())
	}
	return io.ReadAll(io.LimitReader(f, most))
}
