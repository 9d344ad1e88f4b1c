//go:build !linux

package fsat

import (
	"errors"
	"io/fs"
)

// This system has no implementation yet; each function fails with errors.ErrUnsupported.

func OpenRoot(path string) (int, error) { return NoDir, errors.ErrUnsupported }

func OpenDir(dir int, name string) (int, error) { return NoDir, errors.ErrUnsupported }

func OpenParent(dir int) (int, error) { return NoDir, errors.ErrUnsupported }

func OpenFile(dir int, name string) (int, error) { return NoDir, errors.ErrUnsupported }

func Create(dir int, name string, mode uint32) (int, error) { return NoDir, errors.ErrUnsupported }

func Close(fd int) error { return errors.ErrUnsupported }

func StatAt(dir int, name string, st *Stat) error { return errors.ErrUnsupported }

func DeviceAt(dir int, name string) (dev uint64, ok bool) { return 0, false }

func StatHandle(fd int, st *Stat) error { return errors.ErrUnsupported }

func ReadDir(dir int, buf []byte) ([]DirEntry, error) { return nil, errors.ErrUnsupported }

func Link(oldDir int, oldName string, newDir int, newName string) error { return errors.ErrUnsupported }

func Mkdir(dir int, name string, mode uint32) error { return errors.ErrUnsupported }

func MakeSymlink(target string, dir int, name string) error { return errors.ErrUnsupported }

func MakeNode(dir int, name string, typ, mode, major, minor uint32) error {
	return errors.ErrUnsupported
}

func Readlink(dir int, name string, size int64) (string, error) { return "", errors.ErrUnsupported }

func Rename(oldDir int, oldName string, newDir int, newName string) error {
	return errors.ErrUnsupported
}

func RenameNew(oldDir int, oldName string, newDir int, newName string) error {
	return errors.ErrUnsupported
}

func Unlink(dir int, name string) error { return errors.ErrUnsupported }

func Rmdir(dir int, name string) error { return errors.ErrUnsupported }

func Read(fd int, buf []byte, off int64) (int, error) { return 0, errors.ErrUnsupported }

func ReadSome(fd int, buf []byte, off int64) (int, error) { return 0, errors.ErrUnsupported }

func Write(fd int, buf []byte, off int64) error { return errors.ErrUnsupported }

func Truncate(fd int, size int64) error { return errors.ErrUnsupported }

func NextData(fd int, off, size int64) (start, end int64, ok bool, err error) {
	return 0, 0, false, errors.ErrUnsupported
}

func Clone(dst, src int) error { return errors.ErrUnsupported }

func Dedupe(dst, src int, size int64) (bool, error) { return false, errors.ErrUnsupported }

func Chown(fd int, uid, gid uint32) error { return errors.ErrUnsupported }

func ChownAt(dir int, name string, uid, gid uint32) error { return errors.ErrUnsupported }

func Chmod(fd int, mode uint32) error { return errors.ErrUnsupported }

func ChmodAt(dir int, name string, mode uint32) error { return errors.ErrUnsupported }

func SetMtime(fd int, t Time) error { return errors.ErrUnsupported }

func SetMtimeAt(dir int, name string, t Time) error { return errors.ErrUnsupported }

func Xattrs(fd int) ([]Xattr, error) { return nil, errors.ErrUnsupported }

func XattrsAt(dir int, name string) ([]Xattr, error) { return nil, errors.ErrUnsupported }

func SetXattr(fd int, x Xattr) error { return errors.ErrUnsupported }

func SetXattrAt(dir int, name string, x Xattr) error { return errors.ErrUnsupported }

func RemoveXattr(fd int, name string) error { return errors.ErrUnsupported }

func Sync(fd int) error { return errors.ErrUnsupported }

func SyncFS(fd int) error { return errors.ErrUnsupported }

func FileSystem(fd int) (Space, error) { return Space{}, errors.ErrUnsupported }

func LockExclusive(fd int) (bool, error) { return false, errors.ErrUnsupported }

func LockShared(fd int) (bool, error) { return false, errors.ErrUnsupported }

func HasHoles(fd int, size int64) bool { return false }

func CreateUnnamed(dir int, mode uint32) (int, error) { return NoDir, errors.ErrUnsupported }

func IsUnnamedRefused(err error) bool { return IsRefused(err) }

func LinkUnnamed(fd int, dir int, name string) error { return errors.ErrUnsupported }

func Exchange(oldDir int, oldName string, newDir int, newName string) error {
	return errors.ErrUnsupported
}

func DropCache(fd int) error { return errors.ErrUnsupported }

func Attrs(fd int) (uint32, error) { return 0, errors.ErrUnsupported }

func SetAttrs(fd int, attrs, mask uint32) error { return errors.ErrUnsupported }

func Preallocated(fd int) ([]Range, error) { return nil, errors.ErrUnsupported }

func Preallocate(fd int, r Range) error { return errors.ErrUnsupported }

func KeepsSpaceBeyondEnd(fd int) bool { return false }

func Unlock(fd int) error { return errors.ErrUnsupported }

func Umask() uint32 { return 0o777 }

func IsGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func IsNoDir(err error) bool { return IsGone(err) }

func IsOtherType(error) bool { return false }

func IsBadDisk(error) bool { return false }

func IsPassing(error) bool { return false }

func IsBusy(error) bool { return false }

func IsNoLink(error) bool { return false }

func IsNoSpace(error) bool { return false }

func IsOverQuota(error) bool { return false }

func IsLinkLimit(error) bool { return false }

func IsRefused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}

func IsNameRefused(error) bool { return false }

func IsTooLarge(error) bool { return false }

func IsExist(err error) bool { return errors.Is(err, fs.ErrExist) }

func Missing(Privileges) Privileges { return 0 }

func MissingFor(error, Privileges) Privileges { return 0 }
