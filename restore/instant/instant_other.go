//go:build !linux

package instant

import (
	"context"
	"errors"

	"snapcopy/internal/archive"
)

func makeInstant(context.Context, archive.OpenSnapshot, string, Options) (*Report, error) {
	return nil, errors.ErrUnsupported
}

func readInstant(string) (State, error) { return State{}, errors.ErrUnsupported }

func settle(context.Context, archive.OpenSnapshot, string, SettleOptions) (*SettleReport, error) {
	return nil, errors.ErrUnsupported
}
