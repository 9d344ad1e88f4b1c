//go:build !linux

package main

import (
	"context"
	"errors"
)

func sweep(context.Context, options) (*results, error) { return nil, errors.ErrUnsupported }
