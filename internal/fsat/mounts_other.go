//go:build !linux

package fsat

import "errors"

func MountsBelow(fd int) ([]string, error) { return nil, errors.ErrUnsupported }
