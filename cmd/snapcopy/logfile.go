package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/inside"
)

// logFile is a log that lines are appended to. Its methods do nothing on nil.
type logFile struct {
	f   *os.File
	now func() time.Time
	err error // the first one
}

// logPatience is how long a pipe may take the last lines when the program is told to stop.
const logPatience = time.Second

// openLog opens a log. It waits for a pipe until a program reads from it or ctx is done.
func openLog(ctx context.Context, path string, now func() time.Time) (*logFile, error) {
	arch, is, err := inside.Archive(path)
	if err == nil && is {
		err = fmt.Errorf("%s: %w, %s", name(path), archive.ErrInsideOther, name(arch))
	}
	if err != nil {
		return nil, err
	}
	l := &logFile{now: now}
	err = interruptible(ctx, func() (err error) {
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
