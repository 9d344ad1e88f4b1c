package main

import (
	"context"
	"errors"
	"io/fs"

	"snapcopy/internal/history"
)

// withHistory opens all snapshots of an archive and calls do. It names damaged catalogs at the end; the answer lacks
// their content, and the exit status says so.
func (a *app) withHistory(ctx context.Context, where string, do func(*history.History) error) (err error) {
	archive, err := a.openArchive(where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	snapshots, err := archive.Snapshots()
	if err != nil {
		return err
	}
	h, err := history.OpenHistory(ctx, snapshots)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	err = do(h)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, u := range h.Unusable() {
		a.term.errorf("snapcopy: snapshot %s is not included: %s%s", u.Snapshot, printable(u.Err.Error()), a.nextStep(u.Err, u.Snapshot))
		if err == nil {
			err = told{statusDamage}
		}
	}
	return err
}

// inHistory calls do with the possible meanings of a PATH of the command line, until some snapshot has it.
func inHistory(h *history.History, arg string, do func(path string) error) error {
	candidates, err := pathCandidates(arg, h.Source())
	if err != nil {
		return err
	}
	var first error
	for _, path := range candidates {
		err := do(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}
