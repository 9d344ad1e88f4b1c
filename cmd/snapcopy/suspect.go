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

// warnOfSuspect warns, before a snapshot is restored, if its run looked wrong and nobody has acknowledged that.
func (a *app) warnOfSuspect(s *openSnapshot) {
	t, ok, err := s.archive.TrippedRun(s.Snapshot)
	where := name(s.archive.Path)
	switch {
	case err != nil:
		a.term.errorf("Warning: whether snapshot %s in %s is suspect is not known: %s", s.Name, where, printable(err.Error()))
	case ok && t.Coverage.Snapshot != "" && t.Coverage.Source == "":
		a.term.errorf("Warning: snapshot %s in %s is marked \"%s\", and nobody has acknowledged that. The last good snapshot before it is %s.",
			s.Name, where, archive.StateOf(false, t.Tripwires), t.Coverage.Snapshot)
	case ok:
		a.term.errorf("Warning: snapshot %s in %s is marked \"%s\", and nobody has acknowledged that.", s.Name, where,
			archive.StateOf(false, t.Tripwires))
	}
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
	var names []string
	for i := range lines {
		if len(lines[i].Tripwires) > 0 {
			names = append(names, lines[i].Name)
		}
	}
	if waiting := uint64(len(names)); waiting > 0 {
		a.term.errorf("%s in %s %s to be acknowledged; until then, nothing there is pruned. `snapcopy acknowledge --dry-run %s` tells more. %s.",
			counted(waiting, "suspect snapshot", "suspect snapshots"), name(arch), agree(waiting, "waits", "wait"), shellWord(arch),
			wrongSourceText(arch, waiting, names[0]))
	}
}

// wrongSourceText says what to type if snapshots are suspect with good reason. first is the name of the first one.
func wrongSourceText(arch string, waiting uint64, first string) string {
	if waiting == 1 {
		return fmt.Sprintf("If the source was wrong: `snapcopy remove %s %s` removes that snapshot, and the freeze ends with it",
			shellWord(arch), first)
	}
	return fmt.Sprintf("If the source was wrong: `snapcopy remove %s SNAPSHOT...` removes these snapshots, and the freeze ends with the last",
		shellWord(arch))
}
