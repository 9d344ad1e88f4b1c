package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"snapcopy/internal/history"
)

// live compares a snapshot with a folder.
func (o *diffOptions) live(ctx context.Context, a *app, args []string) (err error) {
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	opt := history.LiveOptions{Threads: o.threads, Archive: s.archive.Path,
		IgnoreInode: o.ignoreInode, IgnoreCtime: o.ignoreCtime}
	opt.Exclude, err = (&snapshotOptions{exclude: o.exclude, excludeFrom: o.excludeFrom}).patterns(ctx)
	if err != nil {
		return err
	}
	misplaced, err := checkPatternsOf(opt.Exclude, args[1])
	if err != nil {
		return err
	}
	for _, w := range append(opt.Exclude.Warnings(), misplaced...) {
		a.term.errorf("Warning: %s.", printable(w))
	}
	path := ""
	if len(args) > 2 {
		if path, err = s.pathInSource(args[2], args[1]); err != nil {
			return err
		}
	}
	p := changePrinter{ctx: ctx, a: a, o: o}
	p.tally.Depth = o.depth
	report, err := history.CompareLive(ctx, s.Catalog, args[1], path, opt, p.visit)
	if err != nil {
		return err
	}
	if err := p.end(s.Name, name(args[1])); err != nil {
		return err
	}
	return o.failed(a, report)
}

// pathInSource returns the path that a PATH of the command line means: a path in the snapshot, or else one in the
// folder.
func (s *openSnapshot) pathInSource(arg, source string) (string, error) {
	path, _, err := s.find(arg)
	if !errors.Is(err, errNotInSnapshot) {
		return path, err
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	candidates, err := pathCandidates(arg, abs)
	if err != nil {
		return "", err
	}
	for _, c := range candidates {
		if _, err := os.Lstat(filepath.Join(abs, filepath.FromSlash(c))); err == nil {
			return c, nil
		}
	}
	return candidates[0], nil
}

// failed lists the entries that could not be compared.
func (o *diffOptions) failed(a *app, r *history.LiveReport) error {
	if r.FailedCount == 0 {
		return nil
	}
	a.term.errorf("%s could not be compared:", counted(r.FailedCount, "entry", "entries"))
	shown := r.Failed[:min(len(r.Failed), maxFailedShown)]
	for _, f := range shown {
		a.term.errorf("  %s: %s", name(f.Path), printable(f.Err.Error()))
	}
	if more := r.FailedCount - uint64(len(shown)); more > 0 {
		a.term.errorf("  ... and %s more", count(more))
	}
	return told{statusIncomplete}
}
