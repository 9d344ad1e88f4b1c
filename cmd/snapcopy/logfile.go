package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// logFile is a log that lines are appended to. Its methods do nothing on nil.
type logFile struct {
	f   *os.File
	now func() time.Time
	err error // the first one
}

func openLog(path string, now func() time.Time) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &logFile{f: f, now: now}, nil
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
