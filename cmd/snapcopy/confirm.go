package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNotConfirmed reports that a person was asked and did not agree.
var errNotConfirmed = errors.New("not confirmed: nothing was done")

// canAsk reports whether there is a person to ask. Scripts and unattended jobs have none: they mean their commands.
func (a *app) canAsk() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
}

// ask asks the person at the terminal, and returns errNotConfirmed unless the answer is yes.
func (a *app) ask(ctx context.Context, question string) error {
	return a.askFrom(ctx, os.Stdin, question)
}

func (a *app) askFrom(ctx context.Context, in io.Reader, question string) error {
	a.term.prompt(question + " [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read cannot be cancelled, but it ends with the process
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			line = ""
		}
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errNotConfirmed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prompt writes a question to stderr, and leaves the cursor behind it.
func (t *terminal) prompt(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	_, _ = fmt.Fprint(t.errOut, text)
}
