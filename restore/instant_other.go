//go:build !linux

package restore

import (
	"context"
	"errors"

	"snapcopy/internal/archive"
)

func makeInstant(context.Context, archive.Source, string, InstantOptions) (*InstantReport, error) {
	return nil, errors.ErrUnsupported
}

func readInstant(string) (InstantState, error) { return InstantState{}, errors.ErrUnsupported }

func settle(context.Context, archive.Source, string, SettleOptions) (*SettleReport, error) {
	return nil, errors.ErrUnsupported
}
