package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// terminal is the output of the program: results on stdout, all other lines on stderr. A progress bar on stderr gives
// way to both. Its methods may be called from several goroutines.
type terminal struct {
	mu       sync.Mutex
	out      *bufio.Writer
	outlet   *outlet // behind out
	errOut   io.Writer
	width    func() int // of the terminal behind stderr; 0 if there is none
	outWidth func() int // of the terminal behind stdout; 0 if there is none
	shared   bool       // stdout is a terminal: results are shown at once, and the bar gives way
	joined   bool       // stdout and stderr are one file: their lines must appear in the order written
	bar      bool       // one is drawn
	subject  subject    // of errors and warnings
}

func newTerminal(out, errOut *os.File) *terminal {
	to := &outlet{to: out}
	return &terminal{
		out:    bufio.NewWriterSize(to, 64<<10),
		outlet: to,
		errOut: errOut,
		shared: term.IsTerminal(int(out.Fd())),
		joined: sameFile(out, errOut),
		outWidth: func() int {
			width, _, err := term.GetSize(int(out.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
		width: func() int {
			if name := os.Getenv("TERM"); name == "dumb" || !term.IsTerminal(int(errOut.Fd())) || !canDraw(errOut) {
				return 0
			}
			width, _, err := term.GetSize(int(errOut.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		},
	}
}

func sameFile(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// Write writes results to stdout.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.shared {
		return t.out.Write(p)
	}
	t.clear()
	n, err := t.out.Write(p)
	if err == nil {
		err = t.out.Flush()
	}
	return n, err
}

func (t *terminal) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Flush()
}

// errorf writes one line to stderr; an error or a warning names the archive. A failure to do so can be reported nowhere.
func (t *terminal) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	if t.joined {
		_ = t.out.Flush() // the writer keeps the error, and returns it from the next Write or the last Flush
	}
	_, _ = io.WriteString(t.errOut, t.subject.in(fmt.Sprintf(format, args...))+"\n")
}

// alertf is errorf for a line that can be all that a person gets to read, and begins otherwise than errors and warnings.
func (t *terminal) alertf(format string, args ...any) {
	t.errorf("%s", t.subject.of(fmt.Sprintf(format, args...)))
}

// drawBar replaces the progress bar; "" removes it.
func (t *terminal) drawBar(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	if text != "" {
		_, _ = io.WriteString(t.errOut, text)
		t.bar = true
	}
}

// clear removes the bar from its line.
func (t *terminal) clear() {
	if t.bar {
		_, _ = io.WriteString(t.errOut, "\r\x1b[K")
		t.bar = false
	}
}
