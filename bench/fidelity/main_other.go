//go:build !linux

package main

import (
	"context"
	"errors"
)

func measure(context.Context, options) (string, error) { return "", errors.ErrUnsupported }
