package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// outlet is stdout. A command that does some work goes on after the reader of its output has gone (snapshot -v |
// head): the exit status still tells the outcome of the work.
type outlet struct {
	to       io.Writer
	outlives bool // the reader
	gone     bool // the reader
}

func (o *outlet) Write(p []byte) (int, error) {
	if o.gone {
		return len(p), nil
	}
	n, err := o.to.Write(p)
	if o.outlives && errors.Is(err, syscall.EPIPE) {
		o.gone = true
		return len(p), nil
	}
	return n, err
}

// outliveReader makes the program go on when nobody reads its output any more.
func (t *terminal) outliveReader() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outlet.outlives = true
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // otherwise the first write would end the process
}

// needReader makes a missing reader an error again, for commands whose work is their output.
func (t *terminal) needReader() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outlet.outlives = false
}
