package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"snapcopy/internal/testtree"
)

// operation is a command that is cut short.
type operation struct {
	name      string
	snapshots int                   // of the archive before
	prepare   func(l *lab) error    // the other preparations
	args      func(l *lab) []string // of snapcopy
	status    int                   // if nothing disturbs it; 4: no fault may make it end with 0
	publishes bool                  // it takes a snapshot
	mayGo     func(l *lab) []string // snapshots that it removes
	again     bool                  // the same command has to finish the work of the one that was cut short
	finished  func(l *lab) error    // checks the outcome, once the operation has succeeded
	changes   bool                  // it changes snapshots, so they are compared after it is finished
	mounts    bool                  // its outcome is a mount, which ends with the power
	undone    func(l *lab) error    // checks the outcome, if the operation says that it failed
}

// restoreAnew is a restore into a new folder.
const restoreAnew = "restore"

// run takes a snapshot. Reads that failed are tried again soon.
func run(l *lab) []string {
	return []string{"snapshot", "--retry-wait", "10ms", l.source.path, l.archive}
}

func prune(l *lab) []string { return []string{"prune", l.archive, "--keep-last", "1"} }

func repair(l *lab) []string { return []string{"repair", l.archive} }

func restore(l *lab) []string { return []string{"restore", l.archive, "--to", l.target} }

// oldest returns all snapshots but the newest.
func oldest(l *lab) []string {
	list := l.known()
	return list[:len(list)-1]
}

func (l *lab) newest() string {
	list := l.known()
	return list[len(list)-1]
}

// exactly are the flags of a restore that makes an older tree equal to the snapshot.
var exactly = []string{"--overwrite=changed", "--delete", "--delete-unsaved"}

var operations = []operation{
	{name: "first run", args: run, publishes: true},
	{name: "run", snapshots: 2, args: run, publishes: true},
	{name: "unchanged run", snapshots: 1, prepare: lastEdit, args: run, publishes: true},
	{name: "resumed first run", prepare: interrupted, args: run, publishes: true},
	{name: "resumed run", snapshots: 1, prepare: interrupted, args: run, publishes: true},
	{name: "prune", snapshots: 3, mayGo: oldest, args: prune},
	{name: "resumed prune", snapshots: 3, prepare: interruptedPrune, mayGo: oldest, args: prune},
	{name: "remove", snapshots: 3, mayGo: func(l *lab) []string { return l.known()[1:2] },
		args: func(l *lab) []string { return []string{"remove", "--yes", l.archive, l.known()[1]} }},
	{name: "forget-path", snapshots: 2, changes: true, again: true, finished: forgotten,
		args: func(l *lab) []string { return []string{"forget-path", "--yes", l.archive, forgettable} }},
	{name: restoreAnew, snapshots: 2, again: true, finished: restored, args: restore},
	{name: "resumed restore", snapshots: 2, prepare: interruptedRestore, again: true, finished: restored, args: restore},
	{name: "restore over", snapshots: 2, prepare: olderTarget, again: true, finished: restored,
		args: func(l *lab) []string { return append(restore(l), exactly...) }},
	{name: "restore in place", snapshots: 2, again: true, finished: restoredInPlace,
		args: func(l *lab) []string { return append([]string{"restore", l.archive, "--in-place"}, exactly...) }},
	{name: "restore swap", snapshots: 2, prepare: olderTarget, again: true, finished: restored,
		args: func(l *lab) []string { return []string{"restore", l.archive, "--swap", l.target} }},
	{name: "instant", snapshots: 2, again: true, finished: instantly, mounts: true, undone: notMounted,
		args: func(l *lab) []string { return []string{"instant", l.archive, l.target} }},
	{name: "settle", snapshots: 2, prepare: editedInstant, again: true, finished: settled, mounts: true,
		args: func(l *lab) []string { return []string{"settle", l.target} }},
	{name: "repair", snapshots: 2, prepare: damaged, changes: true, again: true, finished: repaired, args: repair},
	{name: "resumed repair", snapshots: 2, prepare: interruptedRepair, changes: true, again: true, finished: repaired, args: repair},
	{name: "verify", snapshots: 2, args: func(l *lab) []string { return []string{"verify", l.archive} }},
	{name: "verify share", snapshots: 2, args: func(l *lab) []string { return []string{"verify", "--budget=50%", l.archive} }},
	{name: "verify damage", snapshots: 2, prepare: damaged, changes: true, status: 4,
		args: func(l *lab) []string { return []string{"verify", l.archive} }},
	{name: "catalog rebuild", snapshots: 2, prepare: lostCatalog, changes: true, again: true, finished: repaired,
		args: func(l *lab) []string { return []string{"catalog", "rebuild", l.archive + "@" + l.newest()} }},
	{name: "index rebuild", snapshots: 2, args: func(l *lab) []string { return []string{"index", "rebuild", l.archive} }},
}

// damaged changes the content of a stored file that the source has, too, and shortens another one.
func damaged(l *lab) error {
	newest := l.newest()
	big := filepath.Join(l.archive, newest, "d3/sub/big")
	f, err := os.OpenFile(big, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("damage"), 1000)
	return errors.Join(err, f.Close(), os.Truncate(filepath.Join(l.archive, newest, forgettable), 3))
}

// lostCatalog removes or shortens the newest catalog.
func lostCatalog(l *lab) error {
	path := filepath.Join(l.archive, ".snapcopy/catalogs", l.newest()+".cat")
	if l.rng.IntN(2) == 0 {
		return os.Remove(path)
	}
	return os.Truncate(path, 100)
}

// repaired makes sure that every snapshot is what it was before the damage.
func repaired(l *lab) error { return errors.Join(l.intact(nil), l.verified()) }

// lastEdit takes one more snapshot, so that nothing has changed since.
func lastEdit(l *lab) error {
	return errors.Join(l.must(run(l)...), l.adopt(true))
}

// interrupted cuts a run short: it is killed while it copies or just before it publishes, or stops at a signal, which
// makes a checkpoint. Then the source changes.
func interrupted(l *lab) error {
	at := point{call: "utimensat", when: 1 + l.rng.IntN(8)}
	switch l.rng.IntN(4) {
	case 0:
		at = point{call: "syncfs", when: 1}
	case 1, 2:
		at.signal = "INT"
	}
	_, err := l.cut(at, drop{}, run(l))
	return errors.Join(err, l.adopt(false), l.source.edit())
}

// interruptedPrune kills a prune while it puts snapshots into the trash or empties that.
func interruptedPrune(l *lab) error {
	at := point{call: "unlinkat", when: 1 + l.rng.IntN(20)}
	if l.rng.IntN(3) == 0 {
		at = point{call: "renameat2", when: 2 + l.rng.IntN(2)}
	}
	_, err := l.cut(at, drop{}, prune(l))
	return errors.Join(err, l.intact(oldest(l)))
}

// interruptedRestore kills a restore in its middle.
func interruptedRestore(l *lab) error {
	_, err := l.cut(point{call: "utimensat", when: 1 + l.rng.IntN(10)}, drop{}, restore(l))
	return err
}

// interruptedRepair damages the archive and kills a repair of it.
func interruptedRepair(l *lab) error {
	at := point{call: "renameat2", when: 1 + l.rng.IntN(4)}
	if l.rng.IntN(3) == 0 {
		at = point{call: "syncfs", when: 1}
	}
	if err := damaged(l); err != nil {
		return err
	}
	_, err := l.cut(at, drop{}, repair(l))
	return err
}

// olderTarget restores the oldest snapshot, so that another restore meets entries.
func olderTarget(l *lab) error {
	return l.must("restore", l.archive+"@"+l.known()[0], "--to", l.target)
}

// editedInstant mounts the newest snapshot and edits the tree.
func editedInstant(l *lab) error {
	if err := l.must("instant", l.archive, l.target); err != nil {
		return err
	}
	tree := source{path: l.target, rng: l.rng, made: 1000}
	err := tree.edit()
	if err == nil {
		l.edited, err = testtree.Read(l.target)
	}
	return err
}

// restored compares the target with the newest snapshot.
func restored(l *lab) error { return l.same("the restored tree", l.target, l.taken[l.newest()], 0) }

// restoredInPlace compares the source with the newest snapshot.
func restoredInPlace(l *lab) error {
	return l.same("the source that was restored in place", l.source.path, l.taken[l.newest()], 0)
}

// instantly compares the mounted tree with the newest snapshot, and lets it be settled. A mounted tree has no holes.
func instantly(l *lab) error {
	want := l.taken[l.newest()]
	return errors.Join(l.same("the instant tree", l.target, want, testtree.Holes), l.succeeds("settle", l.target),
		l.same("the settled tree", l.target, want, 0))
}

// notMounted makes sure that nothing is mounted.
func notMounted(l *lab) error {
	list, err := l.mounts()
	if len(list) > 0 {
		l.fault("%s is mounted, although the command failed", list[0])
	}
	return err
}

// settled compares the settled tree with the edited one.
func settled(l *lab) error { return l.same("the settled tree", l.target, l.edited, testtree.Holes) }

// same compares a tree with a fingerprint.
func (l *lab) same(what, path string, want testtree.Tree, except testtree.Field) error {
	got, err := testtree.Read(path)
	if err != nil {
		return err
	}
	if lines := testtree.Diff(want, got, l.lacks|except); len(lines) > 0 {
		l.fault("%s differs:\n  %s", what, strings.Join(lines, "\n  "))
	}
	return nil
}

// forgotten makes sure that the forgotten path is gone from all snapshots, and no other path is.
func forgotten(l *lab) error {
	for _, name := range l.known() {
		got, err := l.snapshot(name)
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

// measure runs an operation undisturbed.
func measure(ctx context.Context, program string, at *place, op *operation) (profile, error) {
	l, err := begin(ctx, program, at, op, 0)
	if err != nil {
		return nil, err
	}
	r, err := l.traced(traceAll(), nil, drop{}, op.args(l))
	if err == nil && r.status != op.status {
		err = errors.New(r.String())
	}
	return profileOf(r.trace), err
}

// begin prepares an operation. In a place that can be cloned, the same preparations are done once.
func begin(ctx context.Context, program string, p *place, op *operation, seed uint64) (l *lab, err error) {
	l = newLab(ctx, program, p, seed)
	if p.begun == nil {
		if err = l.history(op.snapshots); err == nil {
			err = l.prepare(op)
		}
		return l, err
	}
	name := fmt.Sprint(op.name, " ", seed)
	before := p.begun[name]
	if before == nil {
		if err = l.history(op.snapshots); err == nil && !op.mounts {
			err = l.prepare(op)
		}
		if err = errors.Join(err, p.keep(name)); err != nil {
			return l, err
		}
		before, p.begun[name] = l, l
	}
	if err = p.bring(name); err == nil {
		l = newLab(ctx, program, p, seed)
		l.as(before)
		if op.mounts { // a mount cannot be cloned
			err = l.prepare(op)
		}
	}
	return l, err
}

// as makes a new lab equal to another one, whose files were cloned.
func (l *lab) as(other *lab) {
	l.taken, l.source.made = maps.Clone(other.taken), other.source.made
	if l.clock.Before(other.clock) {
		l.clock = other.clock
	}
}

// prepare does the preparations of an operation that follow the history.
func (l *lab) prepare(op *operation) error {
	if op.prepare != nil {
		if err := op.prepare(l); err != nil {
			return err
		}
	}
	if len(l.faults) > 0 {
		return fmt.Errorf("before the operation: %s", strings.Join(l.faults, "; "))
	}
	return l.sync()
}

func operationNamed(name string) *operation {
	i := slices.IndexFunc(operations, func(op operation) bool { return op.name == name })
	return &operations[i]
}
