package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/inside"
	"snapcopy/internal/workers"
)

// level is how much of a run is told.
type level int

// The levels of a log. Each takes what the ones before it take, and any takes errors and warnings, the first line of a
// run and its exit status.
const (
	levelQuiet   level = iota
	levelNormal        // notes and the summary
	levelVerbose       // a line for each entry that changed or is left out
	levelAll           // and for all others
)

var levelNames = []string{"quiet", "normal", "verbose", "all"}

// asLevel returns the level of a number of -v.
func asLevel(verbose int) level { return min(levelNormal+level(verbose), levelAll) }

func (v *level) Set(s string) error {
	i := slices.Index(levelNames, s)
	if i < 0 {
		return fmt.Errorf("%q is none of %s", s, strings.Join(levelNames, ", "))
	}
	*v = level(i)
	return nil
}

func (v *level) String() string {
	if *v < 0 {
		return ""
	}
	return levelNames[*v]
}

func (v *level) Type() string { return "LEVEL" }

// logFlags are the flags about the log of a run.
type logFlags struct {
	path  string
	level level // negative: that of the terminal, but at least levelNormal
}

func (o *logFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.path, "log", "", "append all output to `FILE`, with times; {time} in its name is the time of the run")
	o.level = -1
	f.Var(&o.level, "log-level", "what the log takes: `LEVEL` is quiet, normal, verbose (as -v) or all (as -vv)")
}

// check refuses flags that contradict each other. verbose and quiet are those of the terminal.
func (o *logFlags) check(verbose int, quiet bool) error {
	switch {
	case o.path == "" && o.level >= 0:
		return wrongUsage("--log-level is the level of a log, and there is no --log FILE")
	case quiet && verbose > 0 && o.path == "":
		return wrongUsage("--quiet and --verbose exclude each other, unless there is a --log FILE for what --verbose adds")
	}
	return nil
}

// takes returns the level of the log.
func (o *logFlags) takes(verbose int) level {
	if o.level >= 0 {
		return o.level
	}
	return asLevel(verbose)
}

// open opens the log, if there is to be one, and makes its folder if that is missing.
func (o *logFlags) open(ctx context.Context, a *app) (*logFile, error) {
	if o.path == "" {
		return nil, nil
	}
	return openLog(ctx, strings.ReplaceAll(o.path, "{time}", a.now().In(a.loc).Format("2006-01-02_150405")), a.now)
}

// logFile is a log that lines are appended to. Its methods do nothing on nil.
type logFile struct {
	f   *os.File
	now func() time.Time
	err error // the first one
}

// logPatience is how long a pipe may take the last lines when the program is told to stop.
const logPatience = time.Second

// openLog opens a log in a folder that it makes if it is missing. It waits for a pipe until a program reads from it or ctx is done.
func openLog(ctx context.Context, path string, now func() time.Time) (*logFile, error) {
	arch, is, err := inside.Archive(path)
	if err == nil && is {
		err = fmt.Errorf("%s: %w, %s", name(path), archive.ErrInsideOther, name(arch))
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l := &logFile{now: now}
	err = workers.UntilDone(ctx, func() (err error) {
		l.f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		_ = l.f.SetWriteDeadline(time.Now().Add(logPatience)) // only a pipe needs it; a file takes every line at once
	})
	return l, nil
}

// printf appends a line.
func (l *logFile) printf(format string, args ...any) {
	if l == nil {
		return
	}
	stamp := l.now().UTC().Format(time.RFC3339)
	if _, err := fmt.Fprintf(l.f, stamp+" "+format+"\n", args...); l.err == nil {
		l.err = err
	}
}

func (l *logFile) close() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.err, l.f.Close())
}
