//go:build !linux

package fsat

import "errors"

// This system has no implementation yet.

func ListByInode(dir int, buf []byte) ([]DirEntry, error) { return nil, errors.ErrUnsupported }
