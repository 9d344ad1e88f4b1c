// Command snapcopy keeps versioned snapshots of a folder as plain folders that share what did not change.
//
// Everything that a person reads or types is here: commands, flags, wording, progress, exit statuses. The packages that
// do the work never print. Results go to stdout, all else to stderr.
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
	ctx, stop := untilSignal(a.term)
	defer stop()
	if err != nil {
		return finish(a, err)
	}
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

// patience is how long after a signal nobody wonders why the program goes on.
const patience = 2 * time.Second

// untilSignal returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. The second one ends the program at once,
// which leaves every published snapshot as it is. A signal that is ignored when the program begins stays so: nohup and shells
// ignore some for what is to go on without a terminal.
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
			t.errorf("Stopping, and removing what is not finished; a second signal stops at once.")
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// interruptible does something that can wait for ever, such as opening a pipe, until ctx is done. What is waiting then goes
// with the process.
func interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
