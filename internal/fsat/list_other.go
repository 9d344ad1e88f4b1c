//go:build !linux

package fsat

import "errors"

// There is no implementation for this system yet.

func ListByInode(dir int, buf []byte) ([]DirEntry, error) { return nil, errors.ErrUnsupported }
