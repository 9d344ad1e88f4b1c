//go:build !linux

package fsat

import "errors"

func OpenBelow(root int, names []string) (int, error) { return NoDir, errors.ErrUnsupported }

func TouchAccess(dir int, name string) error { return errors.ErrUnsupported }

func IsReadOnly(err error) bool { return false }

func OpenForWriting(dir int, name string) (int, error) { return NoDir, errors.ErrUnsupported }

func PunchHole(fd int, r Range) error { return errors.ErrUnsupported }
