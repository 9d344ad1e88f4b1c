package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"snapcopy/internal/testtree"
)

// The kinds of trials. In a trial with two faults the operation is repeated after the first one, and cut short again.
const (
	killed    = "kill"
	failing   = "error"
	powerCut  = "power cut"
	twoKills  = "two kills"
	twoErrors = "two errors"
	twoCuts   = "two power cuts"
)

var kinds = []string{killed, failing, powerCut, twoKills, twoErrors, twoCuts}

func cutsPower(kind string) bool { return kind == powerCut || kind == twoCuts }
func hasTwo(kind string) bool    { return kind == twoKills || kind == twoErrors || kind == twoCuts }

// cellOf returns the kind of a trial.
func cellOf(seed uint64) cell {
	rng := rand.New(rand.NewPCG(seed, 2))
	return cell{operations[rng.IntN(len(operations))].name, systems[rng.IntN(len(systems))].name, kinds[rng.IntN(len(kinds))]}
}

// pointsOf returns the points at which a trial cuts its operation short.
func pointsOf(c cell, seed uint64, p profile) []point {
	rng := rand.New(rand.NewPCG(seed, 3))
	points := []point{pointOf(c, rng, p)}
	if hasTwo(c.kind) {
		points = append(points, pointOf(c, rng, p))
	}
	return points
}

func pointOf(c cell, rng *rand.Rand, p profile) point {
	most := p.most()
	names := slices.Sorted(maps.Keys(most))
	at := point{call: names[rng.IntN(len(names))]}
	// Seldom late: strace counts in each thread, and which thread does which work is chance.
	early := rng.Float64()
	at.when = 1 + int(early*early*early*float64(most[at.call]))
	at.flags = uint32(min(rng.IntN(6), 2)) // mostly nothing more is written
	if c.kind == failing || c.kind == twoErrors {
		at.errno = errnos[rng.IntN(len(errnos))]
		at.on = rng.IntN(4) == 0 && at.errno != "EINTR" // after which every program tries again
	}
	return at
}

// trial does the trial of a number: the operation is cut short at each of some points.
func trial(ctx context.Context, o options, p *place, c cell, seed uint64, points []point) (out outcome, err error) {
	op := operationNamed(c.operation)
	out = outcome{cell: c, seed: seed, point: describe(points)}
	l, err := begin(ctx, o.program, p, op, seed)
	if err != nil {
		return out, err
	}
	mayGo := []string(nil)
	if op.mayGo != nil {
		mayGo = op.mayGo(l)
	}
	args := op.args(l)
	r, err := l.cutAll(op, o.dropped(l), args, points, cutsPower(c.kind), &out)
	if err != nil {
		return out, err
	}
	if op.mounts && cutsPower(c.kind) {
		r.status = cmp.Or(r.status, 137) // the mount is gone
	}
	if err := l.afterCut(op, r, args, mayGo); err != nil {
		l.fault("%v", err)
	}
	if out.faults = l.faults; len(out.faults) > 0 {
		out.faults = append(out.faults, "the operation was "+r.String())
	}
	return out, errors.Join(ctx.Err(), l.unmountTrees())
}

func describe(points []point) string {
	list := make([]string, len(points))
	for i, at := range points {
		list[i] = at.String()
	}
	return strings.Join(list, ", then ")
}

// cutAll runs the operation once for each point, until it comes to its end.
func (l *lab) cutAll(op *operation, without drop, args []string, points []point, cutsPower bool, out *outcome) (r result, err error) {
	for i, at := range points {
		if i > 0 && !op.changes {
			if err := l.adopt(false); err != nil {
				return r, err
			}
		}
		if r, err = l.cut(at, without, args); err != nil {
			return r, err
		}
		out.reached = out.reached || r.status == 137 || at.errno != "" && strings.Contains(r.trace, "(INJECTED)")
		if cutsPower {
			if err := l.cutPower(at.flags); err != nil {
				return r, err
			}
		}
		if args[0] != "repair" && strings.HasSuffix(at.call, "setxattr") && (at.errno == "ENOSPC" || at.errno == "EDQUOT") {
			l.lacks = testtree.Xattrs
		}
		l.badDisk = l.badDisk || at.errno == "EIO"
		l.sane(op, r, at)
		if r.status == 0 || r.status == 3 {
			break
		}
	}
	return r, nil
}

// statuses are those that the command's help lists, and that of a killed process.
var statuses = []int{0, 1, 3, 4, 5, 6, 7, 130, 137}

// sane looks at how the operation ended. Go's runtime ends a program if a call on one of its own descriptors fails: then
// the process was killed, so to speak.
func (l *lab) sane(op *operation, r result, at point) {
	if runtimeDied(r, at) {
		return
	}
	if !slices.Contains(statuses, r.status) || strings.Contains(r.output, "goroutine ") {
		l.fault("ended in a wrong way: %s", r)
	}
	if r.status == 0 && op.status != 0 {
		l.fault("found nothing wrong: %s", r)
	}
	if r.status == 4 && op.status == 0 && !op.changes && at.errno != "EIO" && at.errno != "" {
		l.fault("found damage: %s", r)
	}
	told := at.call == "write" // its message may be lost
	for _, path := range []string{l.archive, l.target, filepath.Join(l.path, ".target")} {
		told = told || strings.Contains(r.output, path)
	}
	if r.status != 0 && r.status != 137 && !told {
		l.fault("does not name the archive: %s", r)
	}
}

// runtimeDied reports whether Go's runtime, and not the program, has met the error.
func runtimeDied(r result, at point) bool {
	mute := at.call == "write" && at.on && r.output == ""
	return r.status == 2 && at.errno != "" && (strings.HasPrefix(r.output, "runtime: ") || mute)
}

// afterCut looks at the archive, lets the work be finished, and looks again.
func (l *lab) afterCut(op *operation, r result, args, mayGo []string) error {
	if err := l.checkAtOnce(op, r, mayGo); err != nil {
		return err
	}
	if op.again && r.status != 0 {
		if err := l.finish(op, r, args); err != nil {
			return err
		}
	}
	if op.status != 0 { // the damage is there still
		if err := l.succeeds(repair(l)...); err != nil {
			return err
		}
	}
	if err := l.age(); err != nil {
		return err
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
		l.cleanBeside,
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
	if op.args(l)[0] == "restore" && before.status == 3 && !slices.Contains(args, exactly[0]) {
		if err := os.RemoveAll(l.target); err != nil {
			return err
		}
	}
	r, err := l.do(args...)
	if err != nil {
		return err
	}
	toldAgain := r.status == 4 && l.badDisk && op.mounts // settle had noted a file that it could not read
	if r.status != 0 && !wasFinished(r) && !toldAgain {
		l.fault("the operation again: %s", r)
	}
	return op.finished(l)
}

// wasFinished reports whether a command says that its work is done already.
func wasFinished(r result) bool {
	for _, text := range []string{"it is in no snapshot", "it is settled already", "its catalog is sound", "already mounted"} {
		if strings.Contains(r.output, text) {
			return true
		}
	}
	return false
}

// checkAtOnce looks at the archive, and at the outcome, before anything else is done.
func (l *lab) checkAtOnce(op *operation, r result, mayGo []string) error {
	if op.changes {
		if r.status == 0 && op.finished != nil {
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
	if op.undone != nil && saidToHaveFailed(r) {
		if err := op.undone(l); err != nil {
			return err
		}
	}
	return l.verified()
}

// saidToHaveFailed reports whether a command has chosen a status by which nothing was done.
func saidToHaveFailed(r result) bool {
	return slices.Contains(statuses, r.status) && r.status != 0 && r.status != 3 && r.status < 128
}

// cleanBeside looks for leftovers beside the archive.
func (l *lab) cleanBeside() error {
	entries, err := os.ReadDir(l.path)
	for _, e := range entries {
		name := e.Name()
		aside := strings.HasPrefix(name, filepath.Base(l.target)+".before-")
		if !aside && !slices.Contains([]string{"source", "archive", "target", "lost+found"}, name) {
			l.fault("left over beside the archive: %s", name)
		}
	}
	return err
}
