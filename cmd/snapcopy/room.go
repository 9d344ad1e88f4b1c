package main

import (
	"fmt"

	"snapcopy/internal/archive"
)

// roomHint says what makes room in an archive.
func roomHint(path string) string {
	word := shellWord(path)
	return fmt.Sprintf("`snapcopy prune %s --keep-daily 7 --keep-weekly 5` and `snapcopy remove %s SNAPSHOT` work on a full "+
		"disk, too, and make room; `snapcopy stats %s` shows what takes it", word, word, word)
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
