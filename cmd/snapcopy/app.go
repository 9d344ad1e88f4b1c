package main

import (
	"fmt"
	"os"
	"time"

	"snapcopy/internal/archive"
)

// app is the state that the commands share.
type app struct {
	term *terminal
	now  func() time.Time
	loc  *time.Location // in which times are shown and read

	clockStands bool // it never moves on

	typed []string // the words of the command line, without the program's name

	json      bool   // failures are written as JSON, too
	archive   string // that a command writes to; "": none
	makesRoom bool   // by removing

	opened []*archive.Archive // by openArchive
	taker  archive.Taker      // of their locks

	asked <-chan os.Signal // for a line of progress; nil: nobody can
}

// clockVariable sets the clock, for tests.
const clockVariable = "SNAPCOPY_NOW"

// newApp never returns nil.
func newApp() (*app, error) {
	a := &app{term: newTerminal(os.Stdout, os.Stderr), now: time.Now}
	var err error
	if a.loc, err = localZone(); err != nil {
		a.term.errorf("Warning: %v. Times are shown and days counted in UTC.", err)
	}
	if text, ok := os.LookupEnv(clockVariable); ok {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return a, wrongUsage("%s=%q is not a time like 2006-01-02T15:04:05Z", clockVariable, text)
		}
		a.now, a.clockStands = func() time.Time { return t }, true
	}
	return a, nil
}

// openToChange opens an archive for a command that writes to it.
func (a *app) openToChange(path string) (*archive.Archive, error) {
	a.archive = path
	return a.openArchive(path)
}

// localTime is the form of times in output; selectors take the same form.
const localTime = "2006-01-02 15:04:05"

func (a *app) local(t time.Time) string { return t.In(a.loc).Format(localTime) }

func (a *app) localWithZone(t time.Time) string {
	return t.In(a.loc).Format("Mon " + localTime + " MST")
}

// printf writes a result.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.term, format, args...)
	return err
}
