package main

import (
	"errors"
	"fmt"
	"strings"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/snapshot"
)

// roomHint says what makes room in an archive: in one that has no snapshot, nothing but to give up what unfinished runs have
// stored.
func roomHint(path string) string {
	word := shellWord(path)
	var ways []string
	snapshots := false
	if arch, err := archive.Open(path); err == nil {
		list, listErr := arch.Snapshots()
		snapshots = len(list) > 0 || listErr != nil
		unfinished, err := arch.UnfinishedRuns()
		for i := range unfinished[:min(len(unfinished), maxNamed)] {
			ways = append(ways, giveUpText(path, &unfinished[i])+" gives up what an unfinished run has stored")
		}
		_ = errors.Join(err, arch.Close()) // the hint is about another error
	}
	if snapshots {
		ways = append([]string{pruneHint(word)}, ways...)
	}
	if ways == nil {
		return "make room on the disk, or choose another one"
	}
	return strings.Join(ways, "; ")
}

func pruneHint(word string) string {
	return fmt.Sprintf("`snapcopy prune %s --keep-daily 7 --keep-weekly 5` and `snapcopy remove %s SNAPSHOT` work on a full "+
		"disk, too, and make room; `snapcopy stats %s` shows what takes it", word, word, word)
}

// noRoomError is a snapshot.NoRoomError with sizes for people.
type noRoomError struct{ *snapshot.NoRoomError }

func (e noRoomError) Error() string {
	needs, free := counted(e.NeedsInodes, "inode", "inodes"), size(e.FreeBytes)
	if e.NeedsBytes > 0 {
		needs = size(e.NeedsBytes) + " and " + needs
	}
	if e.FreeInodes != nil {
		free += " and " + counted(*e.FreeInodes, "inode", "inodes")
	}
	return fmt.Sprintf("archive %s: the snapshot cannot fit: it needs at least %s, and %s are free for it", name(e.Archive), needs, free)
}

func (e noRoomError) Unwrap() error { return e.NoRoomError }

// sayNoRoom puts a lack of room into words for people. For a run that has begun, it adds the size of the whole snapshot.
func sayNoRoom(err error, p *archive.Progress) error {
	if list, is := joined(err); is {
		for i := range list {
			list[i] = sayNoRoom(list[i], nil)
		}
		err = errors.Join(list...)
	} else if full, is := err.(*snapshot.NoRoomError); is {
		return noRoomError{full}
	}
	if p == nil || !fsat.IsNoSpace(err) || p.ExpectFiles.Load() == 0 || errors.As(err, new(*snapshot.NoRoomError)) {
		return err
	}
	return errors.Join(err, fmt.Errorf("the whole snapshot has about %s with %s", counted(p.ExpectFiles.Load(), "file", "files"),
		size(p.ExpectAll.Load())))
}

// doesNotFit says that a snapshot would not fit.
func (t *teller) doesNotFit(r *archive.Report) {
	n := r.Needs
	if n.LacksBytes() {
		t.errorf("The snapshot does not fit: archive %s needs about %s, and %s are free.", name(r.Archive), size(n.NeedsBytes), size(n.FreeBytes))
	}
	if n.LacksInodes() {
		t.errorf("The snapshot does not fit: archive %s needs about %s, and %s are free.", name(r.Archive),
			counted(n.NeedsInodes, "inode", "inodes"), count(*n.FreeInodes))
	}
	t.errorf("Hint: %s.", roomHint(r.Archive))
}
