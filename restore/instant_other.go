//go:build !linux

package restore

import (
	"context"
	"errors"
)

func makeInstant(context.Context, Source, string, InstantOptions) (*InstantReport, error) {
	return nil, errors.ErrUnsupported
}

func readInstant(string) (InstantState, error) { return InstantState{}, errors.ErrUnsupported }

func settle(context.Context, Source, string, SettleOptions) (*SettleReport, error) {
	return nil, errors.ErrUnsupported
}
