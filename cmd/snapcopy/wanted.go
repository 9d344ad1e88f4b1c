package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"snapcopy/internal/exclude"
	"snapcopy/internal/history"
)

// wanted are the flags that choose what to take out of a snapshot.
type wanted struct {
	at       atFlag
	patterns patternFlags
}

func (o *wanted) addFlags(f *pflag.FlagSet) {
	o.at.addTo(f)
	o.patterns.addTo(f, "")
}

// atFlag is the value of --at: a time, which selects a snapshot as @SNAPSHOT does.
type atFlag string

func (at *atFlag) addTo(f *pflag.FlagSet) {
	f.StringVar((*string)(at), "at", "", "take the last snapshot at or before `TIME` (a date, a time or an age)")
}

// place returns the ARCHIVE@SNAPSHOT that an argument and --at mean together.
func (at atFlag) place(arg string) (string, error) {
	_, folder := snapshotFolder(arg)
	switch {
	case at == "":
		return arg, nil
	case folder != "":
		return "", wrongUsage("--at and the folder of a snapshot exclude each other")
	case strings.Contains(arg, "@") && !isFolder(arg):
		return "", wrongUsage("--at and @SNAPSHOT exclude each other")
	}
	return arg + "@" + string(at), nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// request is a snapshot and the paths to take out of it.
type request struct {
	*openSnapshot
	paths   []string // none: everything
	without *exclude.Matcher
}

// find opens the snapshot chosen by the first argument and --at, and looks up the other arguments, which are paths.
func (o *wanted) find(ctx context.Context, a *app, args []string) (*request, error) {
	without, err := o.patterns.matcher(ctx)
	if err != nil {
		return nil, err
	}
	place, err := o.at.place(args[0])
	if err != nil {
		return nil, err
	}
	s, err := a.open(place)
	if err != nil {
		return nil, err
	}
	paths, err := s.pathsMeant(ctx, args[1:])
	if err == nil {
		err = s.checkPatterns(a, without)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &request{s, paths, without}, nil
}

// checkPatterns warns of patterns that match nothing, and refuses those that begin with the path of the snapshot's source.
func (s *openSnapshot) checkPatterns(a *app, m *exclude.Matcher) error {
	source := s.Catalog.Summary().Source
	misplaced, err := checkPatterns(m, source, []string{source}, func(path string) bool {
		_, ok, err := s.Catalog.Lookup(strings.Trim(path, "/"))
		return ok || err != nil
	})
	if err != nil {
		return err
	}
	for _, w := range append(m.Warnings(), misplaced...) {
		a.term.errorf("Warning: %s.", printable(w))
	}
	return nil
}

// pathsMeant turns each PATH of the command line into paths of the snapshot. An argument that is not a path there may
// be a pattern. The error lists all arguments that are neither.
func (s *openSnapshot) pathsMeant(ctx context.Context, args []string) ([]string, error) {
	var paths []string
	var missing []error
	for _, arg := range args {
		if _, _, err := s.find(arg); errors.Is(err, errNotInSnapshot) {
			found, err := history.Glob(s.Catalog, arg)
			if errors.Is(err, history.ErrPattern) {
				return nil, wrongUsage("%w", err)
			}
			if err != nil {
				return nil, err
			}
			if len(found) > 0 {
				paths = append(paths, found...)
				continue
			}
		}
		path, _, err := s.lookUp(ctx, arg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, err)
		case err != nil:
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(missing...)
}
