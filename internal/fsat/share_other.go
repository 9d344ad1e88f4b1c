//go:build !linux

package fsat

import "errors"

// This system has no implementation yet.

func IdleIO() error { return errors.ErrUnsupported }

func WaitShared(fd int) error { return errors.ErrUnsupported }

func TryLock(fd int) (bool, error) { return false, errors.ErrUnsupported }
