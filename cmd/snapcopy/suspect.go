package main

import (
	"fmt"

	"snapcopy/internal/archive"
)

// addSuspects marks the snapshots that wait to be acknowledged.
func addSuspects(arch *archive.Archive, lines []snapshotLine) error {
	tripped, err := arch.Unacknowledged()
	if err != nil {
		return err
	}
	wires := make(map[string][]archive.Tripwire)
	for i := range tripped {
		wires[tripped[i].Snapshot] = tripped[i].Tripwires
	}
	for i := range lines {
		l := &lines[i]
		if list := wires[l.Name]; len(list) > 0 && l.Counts != nil { // a damaged catalog is told as such
			l.Tripwires, l.State = list, archive.StateOf(l.Incomplete, list)
		}
	}
	return nil
}

// suspectState is the state of a snapshot that waits to be acknowledged.
func suspectState(l *snapshotLine) string {
	if l.Incomplete {
		return l.State + "; " + incompleteText(l)
	}
	return l.State
}

// prunableText says what pruning could take.
func prunableText(v *prunableLine) string {
	const again = "When this is acknowledged, prune works again in %s"
	if v.Snapshots == 0 {
		return fmt.Sprintf(again+"; there are no older snapshots that these could replace.", name(v.Archive))
	}
	which := fmt.Sprintf("%s to %s", v.First, v.Last)
	if v.Snapshots == 1 {
		which = v.First
	}
	frees := "the space that this would free is not known"
	if v.Freed != nil {
		frees = "without them, " + size(*v.Freed) + " would be free"
	}
	return fmt.Sprintf(again+", and its rules may take the %s before (%s); %s.", name(v.Archive),
		counted(v.Snapshots, "snapshot", "snapshots"), which, frees)
}

// tellSuspects prints the next step if snapshots wait to be acknowledged.
func (a *app) tellSuspects(arch string, lines []snapshotLine) {
	waiting := uint64(0)
	for i := range lines {
		if len(lines[i].Tripwires) > 0 {
			waiting++
		}
	}
	if waiting > 0 {
		a.term.errorf("%s in %s %s to be acknowledged; until then, nothing there is pruned. `snapcopy acknowledge --dry-run %s` tells more.",
			counted(waiting, "suspect snapshot", "suspect snapshots"), name(arch), agree(waiting, "waits", "wait"), shellWord(arch))
	}
}
