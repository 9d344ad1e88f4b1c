// Command snapcopy keeps versioned snapshots of a folder as plain folders that share unchanged files.
//
// Everything that a person reads or types is here: commands, flags, wording, progress, JSON shapes, exit statuses. The
// packages that do the work never print. Results go to stdout, all other lines to stderr.
//
// Each command is a struct with its flags and a Run method in a file of its own; root.go puts them together, and
// failure.go turns errors into words and exit statuses.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"snapcopy/internal/workers"
)

func main() {
	workers.Spare()
	os.Exit(run(os.Args[1:]))
}

// run carries out one command line and returns the exit status.
func run(args []string) int {
	a, err := newApp()
	a.asked = whenAsked()
	ctx, stop := untilSignal(a.term)
	defer stop()
	if err != nil {
		return finish(a, err)
	}
	a.typed = args
	root := newRoot(a)
	root.SetArgs(args)
	return finish(a, root.ExecuteContext(ctx))
}

// interrupted is the cause of a context that a signal has cancelled.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string {
	if i.signal == os.Interrupt {
		return "interrupted"
	}
	return fmt.Sprintf("stopped by a signal (%v)", i.signal)
}

func (i interrupted) Unwrap() error { return context.Canceled }

// patience is the delay after a signal before "Stopping…" is printed.
const patience = 2 * time.Second

// untilSignal returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. The second one ends the program at
// once, which leaves every published snapshot intact. A signal that is ignored when the program begins stays ignored:
// nohup and shells ignore some for programs that are to go on without a terminal.
func untilSignal(t *terminal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interrupted{s})
			time.Sleep(patience)
			t.errorf("Stopping; a second signal stops at once.")
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
