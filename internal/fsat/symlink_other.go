//go:build !linux

package fsat

import "errors"

func LinksHoldMetadata(dir int, temp string) (bool, error) { return false, errors.ErrUnsupported }
