//go:build !linux

package main

import "errors"

func link(src, prev, next string, workers int) error { return errors.ErrUnsupported }

func copyTree(src, next string, workers int) error { return errors.ErrUnsupported }
