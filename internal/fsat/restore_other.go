//go:build !linux

package fsat

import "errors"

func OpenNode(dir int, name string) (int, error) { return NoDir, errors.ErrUnsupported }

func ChownNode(fd int, uid, gid uint32) error { return errors.ErrUnsupported }

func ChmodNode(fd int, mode uint32) error { return errors.ErrUnsupported }

func SetMtimeNode(fd int, t Time) error { return errors.ErrUnsupported }

func SetXattrNode(fd int, x Xattr) error { return errors.ErrUnsupported }

func RemoveXattrNode(fd int, name string) error { return errors.ErrUnsupported }
