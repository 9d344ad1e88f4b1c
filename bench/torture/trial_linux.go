package main

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"snapcopy/internal/testtree"
)

// The kinds of trials.
const (
	killed   = "kill"
	failing  = "error"
	powerCut = "power cut"
)

var kinds = []string{killed, failing, powerCut}

// cellOf returns the kind of a trial.
func cellOf(seed uint64) cell {
	rng := rand.New(rand.NewPCG(seed, 2))
	return cell{operations[rng.IntN(len(operations))].name, systems[rng.IntN(len(systems))].name, kinds[rng.IntN(len(kinds))]}
}

// pointOf returns when a trial cuts its operation short.
func pointOf(c cell, seed uint64, p profile) point {
	rng := rand.New(rand.NewPCG(seed, 3))
	names := slices.Sorted(maps.Keys(p))
	at := point{call: names[rng.IntN(len(names))]}
	// Seldom late: strace counts in each thread, and who does the work of which thread is chance.
	early := rng.Float64()
	at.when = 1 + int(early*early*early*float64(p[at.call]))
	at.flags = uint32(min(rng.IntN(6), 2)) // mostly nothing more is written
	if c.kind == failing {
		at.errno = errnos[rng.IntN(len(errnos))]
		at.on = rng.IntN(4) == 0 && at.errno != "EINTR" // after which everybody tries again
	}
	return at
}

// trial does the trial of a number: the operation is cut short at a point.
func trial(ctx context.Context, o options, p *place, c cell, seed uint64, at point) (out outcome, err error) {
	op := operationNamed(c.operation)
	out = outcome{cell: c, seed: seed, point: at.String()}
	l := newLab(ctx, o.program, p, seed)
	if err := l.begin(op); err != nil {
		return out, err
	}
	mayGo := []string(nil)
	if op.mayGo != nil {
		mayGo = op.mayGo(l)
	}
	args := op.args(l)
	r, err := traced(ctx, l.path, o.program, []string{at.call}, at.inject(), o.dropped(l), args)
	if err != nil {
		return out, err
	}
	out.reached = r.status == 137 || at.errno != "" && strings.Contains(r.trace, "(INJECTED)")
	if c.kind == powerCut {
		if err := errors.Join(p.disk.CutPower(at.flags), p.disk.MountAgain()); err != nil {
			return out, err
		}
	}
	if strings.HasSuffix(at.call, "setxattr") && (at.errno == "ENOSPC" || at.errno == "EDQUOT") {
		l.lacks = testtree.Xattrs
	}
	l.sane(r, at)
	if err := l.afterCut(op, r, args, mayGo); err != nil {
		l.fault("%v", err)
	}
	out.faults = l.faults
	return out, ctx.Err()
}

// statuses are those that the command's help lists.
var statuses = []int{0, 1, 3, 4, 5, 6, 7, 130, 137}

// sane looks at how the operation ended. Go's runtime ends a program if a call on one of its own descriptors fails: then
// the process was killed, so to speak.
func (l *lab) sane(r result, at point) {
	if runtimeDied(r, at) {
		return
	}
	if !slices.Contains(statuses, r.status) || strings.Contains(r.output, "goroutine ") {
		l.fault("ended in a wrong way: %s", r)
	}
}

// runtimeDied reports whether Go's runtime, and not the program, has met the error.
func runtimeDied(r result, at point) bool {
	mute := at.call == "write" && at.on && r.output == ""
	return r.status == 2 && at.errno != "" && (strings.HasPrefix(r.output, "runtime: ") || mute)
}

// afterCut looks at what is left, goes on, and looks again.
func (l *lab) afterCut(op *operation, r result, args, mayGo []string) error {
	if err := l.left(op, r, mayGo); err != nil {
		return err
	}
	if op.again && r.status != 0 {
		if err := l.finish(op, r, args); err != nil {
			return err
		}
	}
	next, err := l.do(run(l)...)
	if err != nil {
		return err
	}
	// What looked wrong to the operation is told again.
	if next.status != 0 && (r.status != 6 && r.status != 4 || next.status != r.status) {
		l.fault("the next run: %s", next)
	}
	for _, step := range []func() error{
		func() error { return l.adopt(true) },
		func() error { return l.intact(mayGo) },
		l.verified,
		l.clean,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// finish repeats the operation that was cut short. A restore that ended, and told what it could not do, is repeated in a
// new folder: without --overwrite it leaves alone what the first one has made.
func (l *lab) finish(op *operation, before result, args []string) error {
	if op.name == restoreAnew && before.status == 3 {
		if err := os.RemoveAll(l.target); err != nil {
			return err
		}
	}
	r, err := l.do(args...)
	if err != nil {
		return err
	}
	if r.status != 0 && !(op.forgets && strings.Contains(r.output, "it is in no snapshot")) {
		l.fault("the operation again: %s", r)
	}
	return op.finished(l)
}

// left looks at the archive after an operation was cut short.
func (l *lab) left(op *operation, r result, mayGo []string) error {
	if op.forgets {
		if r.status == 0 {
			return op.finished(l)
		}
		return nil
	}
	if err := errors.Join(l.adopt(op.publishes && r.status == 0), l.intact(mayGo)); err != nil {
		return err
	}
	if r.status == 0 {
		for _, name := range mayGo {
			if _, there := l.taken[name]; there {
				l.fault("%s is still there, although it was said to be removed", name)
			}
		}
		if op.finished != nil {
			if err := op.finished(l); err != nil {
				return err
			}
		}
	}
	return l.verified()
}
