package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/workers"
)

// lockWait is the wait of a command for the lock of its archive. Every command that can end with statusLocked has the
// flag.
type lockWait struct {
	limit waitFlag
	quiet bool
	begun time.Time     // zero: not yet
	told  archive.Owner // to the person who waits
}

func (w *lockWait) addTo(f *pflag.FlagSet) {
	f.Var(&w.limit, "lock-wait", "wait at most `DURATION` (30s, 10m, 2h) while the archive is locked")
}

// waitFlag is the value of a flag for a wait; a number without a unit is one of seconds.
type waitFlag time.Duration

func (v *waitFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, numberErr := strconv.ParseUint(text, 10, 31); numberErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time like 30s, 10m or 2h", text)
	}
	*v = waitFlag(d)
	return nil
}

func (v *waitFlag) String() string {
	if *v == 0 {
		return ""
	}
	return time.Duration(*v).String()
}

func (v *waitFlag) Type() string { return "DURATION" }

// lockPoll is how often a waiting command tries again; a lock cannot be waited for with a limit.
const lockPoll = 250 * time.Millisecond

// begin makes the command c the taker of the locks of its archives.
func (w *lockWait) begin(c *cobra.Command, a *app) {
	w.quiet = isGiven(c, "quiet")
	w.take(c.Context(), a, strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" "))
}

// take makes verb the taker of the locks of archives.
func (w *lockWait) take(ctx context.Context, a *app, verb string) {
	a.taker = archive.Taker{Verb: verb, Held: func(held *archive.LockedError) error { return w.held(ctx, a, held) }}
}

// held pauses while another process has the lock, and gives up when the limit is reached.
func (w *lockWait) held(ctx context.Context, a *app, held *archive.LockedError) error {
	if w.begun.IsZero() {
		w.begun = time.Now()
	}
	limit, waited := time.Duration(w.limit), time.Since(w.begun)
	if waited >= limit {
		return lockedError{held, a, waited.Truncate(time.Second)}
	}
	if !w.quiet && (w.told != held.Owner || waited < lockPoll/2) {
		w.told = held.Owner
		a.term.errorf("Waiting up to %s: %s.", duration((limit - waited).Round(100*time.Millisecond)), printable(lockedError{held, a, 0}.Error()))
	}
	return workers.Pause(ctx, min(lockPoll, limit-waited))
}

// lockedError is an archive.LockedError with times for people.
type lockedError struct {
	*archive.LockedError
	app    *app
	waited time.Duration
}

func (e lockedError) Error() string {
	text := fmt.Sprintf("archive %s is locked by another process, which has not said who it is", e.Archive)
	if o := &e.Owner; o.Known() {
		verb := ""
		if o.Verb != "" {
			verb = " (snapcopy " + o.Verb + ")"
		}
		text = fmt.Sprintf("archive %s is locked by process %d on %s%s since %s, for %s", e.Archive, o.PID, o.Host, verb,
			e.app.local(o.Since), duration(max(0, time.Since(o.Since))))
	}
	if e.waited > 0 {
		text += "; waited for " + duration(e.waited)
	}
	return text
}

func (e lockedError) Unwrap() error { return e.LockedError }
