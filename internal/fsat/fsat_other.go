//go:build !linux

package fsat

import (
	"errors"
	"io/fs"
)

// This system has no implementation yet: each call fails with errors.ErrUnsupported.
var errUnsupported = errors.ErrUnsupported

type Node struct {
	FD   int
	Dir  int
	Name string
}

func ClassOf(err error) Class {
	switch {
	case err == nil:
		return Fine
	case errors.Is(err, fs.ErrNotExist):
		return Gone
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errUnsupported):
		return Refused
	}
	return Passing
}

// Handles and names.

func OpenRoot(path string) (int, error)                                      { return NoDir, errUnsupported }
func OpenDir(dir int, name string) (int, error)                              { return NoDir, errUnsupported }
func OpenParent(dir int) (int, error)                                        { return NoDir, errUnsupported }
func OpenBelow(root int, names []string) (int, error)                        { return NoDir, errUnsupported }
func OpenFile(dir int, name string) (int, error)                             { return NoDir, errUnsupported }
func OpenNode(dir int, name string) (int, error)                             { return NoDir, errUnsupported }
func Create(dir int, name string, mode uint32) (int, error)                  { return NoDir, errUnsupported }
func OpenForWriting(dir int, name string) (int, error)                       { return NoDir, errUnsupported }
func CreateUnnamed(dir int, mode uint32) (int, error)                        { return NoDir, errUnsupported }
func Close(fd int) error                                                     { return errUnsupported }
func ReadDir(dir int, buf []byte) ([]DirEntry, error)                        { return nil, errUnsupported }
func ListByInode(dir int, buf []byte) ([]DirEntry, error)                    { return nil, errUnsupported }
func Mkdir(dir int, name string, mode uint32) error                          { return errUnsupported }
func MakeSymlink(target string, dir int, name string) error                  { return errUnsupported }
func MakeNode(dir int, name string, typ, mode, major, minor uint32) error    { return errUnsupported }
func Readlink(dir int, name string, size int64) (string, error)              { return "", errUnsupported }
func Link(oldDir int, oldName string, newDir int, newName string) error      { return errUnsupported }
func LinkUnnamed(fd int, dir int, name string) error                         { return errUnsupported }
func Rename(oldDir int, oldName string, newDir int, newName string) error    { return errUnsupported }
func RenameNew(oldDir int, oldName string, newDir int, newName string) error { return errUnsupported }
func Exchange(oldDir int, oldName string, newDir int, newName string) error  { return errUnsupported }
func Unlink(dir int, name string) error                                      { return errUnsupported }
func Rmdir(dir int, name string) error                                       { return errUnsupported }
func OtherPaths(path string) ([]string, error)                               { return nil, nil }
func MountsBelow(fd int) ([]string, error)                                   { return nil, errUnsupported }

// Content.

func Read(fd int, buf []byte, off int64) (int, error)     { return 0, errUnsupported }
func ReadSome(fd int, buf []byte, off int64) (int, error) { return 0, errUnsupported }
func Write(fd int, buf []byte, off int64) error           { return errUnsupported }
func Truncate(fd int, size int64) error                   { return errUnsupported }
func Sync(fd int) error                                   { return errUnsupported }
func SyncFS(fd int) error                                 { return errUnsupported }
func DropCache(fd int) error                              { return errUnsupported }
func NextData(fd int, off, size int64) (start, end int64, ok bool, err error) {
	return 0, 0, false, errUnsupported
}
func HasHoles(fd int, size int64) bool              { return false }
func PunchHole(fd int, r Range) error               { return errUnsupported }
func Preallocated(fd int) ([]Range, error)          { return nil, errUnsupported }
func Preallocate(fd int, r Range) error             { return errUnsupported }
func KeepsSpaceBeyondEnd(fd int) bool               { return false }
func Clone(dst, src int) error                      { return errUnsupported }
func Dedupe(dst, src int, size int64) (bool, error) { return false, errUnsupported }
func IdleIO() error                                 { return errUnsupported }

// Metadata.

func StatAt(dir int, name string, st *Stat) error          { return errUnsupported }
func StatHandle(fd int, st *Stat) error                    { return errUnsupported }
func CanSearch(dir int, st *Stat) error                    { return errUnsupported }
func DeviceAt(dir int, name string) (dev uint64, ok bool)  { return 0, false }
func FileSystem(fd int) (Space, error)                     { return Space{}, errUnsupported }
func PlaceOf(dir int) (Place, error)                       { return Place{}, errUnsupported }
func LinksTakeMetadata(dir int, temp string) (bool, error) { return false, errUnsupported }
func Chown(fd int, uid, gid uint32) error                  { return errUnsupported }
func ChownAt(dir int, name string, uid, gid uint32) error  { return errUnsupported }
func ChownNode(fd int, uid, gid uint32) error              { return errUnsupported }
func Chmod(fd int, mode uint32) error                      { return errUnsupported }
func ChmodAt(dir int, name string, mode uint32) error      { return errUnsupported }
func ChmodNode(fd int, mode uint32) error                  { return errUnsupported }
func SetMtime(fd int, t Time) error                        { return errUnsupported }
func SetMtimeAt(dir int, name string, t Time) error        { return errUnsupported }
func SetMtimeNode(fd int, t Time) error                    { return errUnsupported }
func Xattrs(fd int) ([]Xattr, error)                       { return nil, errUnsupported }
func XattrsAt(dir int, name string) ([]Xattr, error)       { return nil, errUnsupported }
func SetXattr(fd int, x Xattr) error                       { return errUnsupported }
func SetXattrAt(dir int, name string, x Xattr) error       { return errUnsupported }
func RemoveXattr(fd int, name string) error                { return errUnsupported }
func (n Node) SetXattr(x Xattr) error                      { return errUnsupported }
func (n Node) RemoveXattr(name string) error               { return errUnsupported }
func Attrs(fd int) (uint32, error)                         { return 0, errUnsupported }
func SetAttrs(fd int, attrs, mask uint32) error            { return errUnsupported }

// Locks.

func LockExclusive(fd int) (bool, error) { return false, errUnsupported }
func LockShared(fd int) (bool, error)    { return false, errUnsupported }
func TryLock(fd int) (bool, error)       { return false, errUnsupported }
func WaitShared(fd int) error            { return errUnsupported }
func Unlock(fd int) error                { return errUnsupported }

// The process and its privileges.

func Umask() uint32                           { return 0o777 }
func CheckProc() error                        { return nil }
func Missing(Privileges) Privileges           { return 0 }
func MissingFor(error, Privileges) Privileges { return 0 }

// Errors.

func IsPassing(error) bool            { return false }
func IsReadOnly(err error) bool       { return false }
func IsOverQuota(error) bool          { return false }
func IsLinkLimit(error) bool          { return false }
func IsExist(err error) bool          { return errors.Is(err, fs.ErrExist) }
func IsBusy(error) bool               { return false }
func IsNoLink(error) bool             { return false }
func IsNameRefused(error) bool        { return false }
func IsUnnamedRefused(err error) bool { return IsRefused(err) }
func IsTooLarge(error) bool           { return false }
