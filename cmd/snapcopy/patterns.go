package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"snapcopy/internal/exclude"
	"snapcopy/internal/workers"
)

// patternFlags are the patterns and pattern files of a command line, of all flags in the order given.
type patternFlags []givenPattern

type givenPattern struct {
	flag *patternFlag
	text string // a pattern or the path of a file
}

// patternFlag is the value of one of the flags. It appends to the list of all.
type patternFlag struct {
	all  *patternFlags
	name string // with --
	file bool   // takes files
	fold bool   // letters count whatever their case
}

// addTo adds the flags. Their help begins with when, the case in which they can be given.
func (p *patternFlags) addTo(f *pflag.FlagSet, when string) {
	for _, flag := range []struct {
		patternFlag
		help string
	}{
		{patternFlag{name: "exclude"}, "leave out entries that match `PATTERN`, as in .gitignore (can be repeated)"},
		{patternFlag{name: "exclude-from", file: true}, "leave out entries that match the patterns in `FILE` (can be repeated)"},
		{patternFlag{name: "iexclude", fold: true}, "as --exclude `PATTERN`, but A-Z and a-z are equal"},
		{patternFlag{name: "iexclude-from", file: true, fold: true}, "as --exclude-from `FILE`, but A-Z and a-z are equal"},
	} {
		value := flag.patternFlag
		value.all, value.name = p, "--"+flag.name
		f.Var(&value, flag.name, when+flag.help)
	}
}

// Set implements pflag.Value.
func (f *patternFlag) Set(text string) error {
	*f.all = append(*f.all, givenPattern{f, text})
	return nil
}

func (f *patternFlag) String() string { return "" }

func (f *patternFlag) Type() string {
	if f.file {
		return "FILE"
	}
	return "PATTERN"
}

// matcher reads the pattern files, and returns all patterns.
func (p patternFlags) matcher(ctx context.Context) (*exclude.Matcher, error) {
	m := exclude.New()
	for _, given := range p {
		if given.flag.file {
			read := func() error { return addPatternFile(m, given.text, given.flag.fold) }
			if err := workers.UntilDone(ctx, read); err != nil {
				return nil, fmt.Errorf("%s: %w", given.flag.name, err)
			}
			continue
		}
		if err := m.AddRule(exclude.Rule{Pattern: given.text, Source: given.flag.name, Fold: given.flag.fold}); err != nil {
			return nil, &usageError{err: err}
		}
	}
	return m, nil
}

func addPatternFile(m *exclude.Matcher, path string, fold bool) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return m.AddFile(path, f, fold)
}
