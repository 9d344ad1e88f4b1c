//go:build !linux

package fsat

import "errors"

func OtherPaths(path string) ([]string, error) { return nil, nil }

func MountsBelow(fd int) ([]string, error) { return nil, errors.ErrUnsupported }
