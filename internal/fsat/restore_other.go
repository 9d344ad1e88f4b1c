//go:build !linux

package fsat

import "errors"

func OpenNode(dir int, name string) (int, error) { return NoDir, errors.ErrUnsupported }

func ChownNode(fd int, uid, gid uint32) error { return errors.ErrUnsupported }

func ChmodNode(fd int, mode uint32) error { return errors.ErrUnsupported }

func SetMtimeNode(fd int, t Time) error { return errors.ErrUnsupported }

type Node struct {
	FD   int
	Dir  int
	Name string
}

func (n Node) SetXattr(x Xattr) error { return errors.ErrUnsupported }

func (n Node) RemoveXattr(name string) error { return errors.ErrUnsupported }

func HasProc() bool { return false }

func CheckProc() error { return nil }
