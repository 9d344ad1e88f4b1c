package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"snapcopy/internal/testtree"
)

// operation is one that is cut short.
type operation struct {
	name      string
	snapshots int                   // of the archive before
	prepare   func(l *lab) error    // the rest of what it needs
	args      func(l *lab) []string // of snapcopy
	publishes bool                  // it takes a snapshot
	mayGo     func(l *lab) []string // snapshots that it removes
	again     bool                  // the same command, not the next run, has to make up for what was cut short
	finished  func(l *lab) error    // checks the outcome, once the operation has succeeded
	forgets   bool                  // it changes snapshots, so they are looked at after it is finished
}

// restoreAnew is a restore into a new folder.
const restoreAnew = "restore"

func run(l *lab) []string { return []string{"snapshot", l.source.path, l.archive} }

// oldest returns all snapshots but the newest.
func oldest(l *lab) []string {
	list := l.known()
	return list[:len(list)-1]
}

var operations = []operation{
	{name: "first run", args: run, publishes: true},
	{name: "run", snapshots: 2, args: run, publishes: true},
	{name: "unchanged run", snapshots: 1, prepare: lastEdit, args: run, publishes: true},
	{name: "resumed run", snapshots: 1, prepare: interrupted, args: run, publishes: true},
	{name: "prune", snapshots: 3, mayGo: oldest,
		args: func(l *lab) []string { return []string{"prune", l.archive, "--keep-last", "1"} }},
	{name: "remove", snapshots: 3, mayGo: func(l *lab) []string { return l.known()[1:2] },
		args: func(l *lab) []string { return []string{"remove", "--yes", l.archive, l.known()[1]} }},
	{name: "forget-path", snapshots: 2, forgets: true, again: true, finished: forgotten,
		args: func(l *lab) []string { return []string{"forget-path", "--yes", l.archive, forgettable} }},
	{name: restoreAnew, snapshots: 2, again: true, finished: restored,
		args: func(l *lab) []string { return []string{"restore", l.archive, "--to", l.target} }},
	{name: "restore over", snapshots: 2, prepare: olderTarget, again: true, finished: restored,
		args: func(l *lab) []string {
			return []string{"restore", l.archive, "--to", l.target, "--overwrite=changed", "--delete", "--delete-unsaved"}
		}},
	{name: "repair", snapshots: 2, prepare: damaged, forgets: true, again: true, finished: repaired,
		args: func(l *lab) []string { return []string{"repair", l.archive} }},
	{name: "verify", snapshots: 2, args: func(l *lab) []string { return []string{"verify", l.archive} }},
	{name: "index rebuild", snapshots: 2, args: func(l *lab) []string { return []string{"index", "rebuild", l.archive} }},
}

// damaged changes the content of a stored file that the source still has, and cuts another one short.
func damaged(l *lab) error {
	newest := l.known()[1]
	big := filepath.Join(l.archive, newest, "d3/sub/big")
	f, err := os.OpenFile(big, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("damage"), 1000)
	return errors.Join(err, f.Close(), os.Truncate(filepath.Join(l.archive, newest, forgettable), 3))
}

// repaired makes sure that every snapshot is what it was before the damage.
func repaired(l *lab) error { return errors.Join(l.intact(nil), l.verified()) }

// lastEdit takes one more snapshot, so that nothing has changed since.
func lastEdit(l *lab) error {
	return errors.Join(l.must(run(l)...), l.adopt(true))
}

// interrupted kills a run in its middle.
func interrupted(l *lab) error {
	at := point{call: "linkat", when: 1 + l.rng.IntN(6)}
	if l.rng.IntN(2) == 0 {
		at = point{call: "syncfs", when: 1}
	}
	_, err := traced(l.ctx, l.path, l.program, []string{at.call}, at.inject(), drop{}, run(l))
	return errors.Join(err, l.adopt(false), l.source.edit())
}

// olderTarget restores the oldest snapshot, so that another restore meets entries.
func olderTarget(l *lab) error {
	return l.must("restore", l.archive+"@"+l.known()[0], "--to", l.target)
}

// restored compares the target with the newest snapshot.
func restored(l *lab) error {
	names := l.known()
	got, err := testtree.Read(l.target)
	if err != nil {
		return err
	}
	if lines := testtree.Diff(l.taken[names[len(names)-1]], got, l.lacks); len(lines) > 0 {
		l.fault("the restored tree differs from the snapshot:\n  %s", strings.Join(lines, "\n  "))
	}
	return nil
}

// forgotten makes sure that a path is gone from all snapshots, and nothing else.
func forgotten(l *lab) error {
	for _, name := range l.known() {
		got, err := testtree.Read(filepath.Join(l.archive, name))
		if err != nil {
			return err
		}
		want := without(l.taken[name], []string{forgettable})
		if lines := testtree.Diff(want, got, l.lacks); len(lines) > 0 {
			l.fault("snapshot %s after forgetting a path:\n  %s", name, strings.Join(lines, "\n  "))
		}
		l.taken[name] = got
	}
	return nil
}

// profiles have what each operation calls when nothing disturbs it.
type profiles map[string]profile

// measure runs each of some operations undisturbed.
func (p profiles) measure(ctx context.Context, program string, at *place, op *operation) error {
	l := newLab(ctx, program, at, 0)
	if err := l.begin(op); err != nil {
		return err
	}
	r, err := traced(ctx, l.path, program, traceAll(), nil, drop{}, op.args(l))
	if err == nil && r.status != 0 {
		err = errors.New(r.String())
	}
	p[op.name] = profileOf(r.trace)
	return err
}

// begin prepares all that an operation needs.
func (l *lab) begin(op *operation) error {
	if err := l.history(op.snapshots); err != nil {
		return err
	}
	if op.prepare != nil {
		if err := op.prepare(l); err != nil {
			return err
		}
	}
	if len(l.faults) > 0 {
		return errors.New("before the operation: " + strings.Join(l.faults, "; "))
	}
	return l.sync()
}

func operationNamed(name string) *operation {
	i := slices.IndexFunc(operations, func(op operation) bool { return op.name == name })
	return &operations[i]
}
