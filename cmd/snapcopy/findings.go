package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// openArchive opens an archive for a command. Faults of the archive's own files are reported when the command has
// ended.
func (a *app) openArchive(path string) (*archive.Archive, error) {
	archive, err := archive.Open(path)
	if err != nil {
		return nil, insideArchive(path, err)
	}
	archive.Taker = a.taker
	a.opened = append(a.opened, archive)
	return archive, nil
}

// tellMended lists the archives' own files that were unusable and were made anew.
func (a *app) tellMended() {
	for _, opened := range a.opened {
		for _, what := range opened.Meta.Mended() {
			a.term.errorf("Note: %s.", printable(what))
		}
		if opened.InfoDamage != nil {
			a.term.errorf("Note: %s cannot be used (%s). No snapshot depends on it; the next command that writes to the "+
				"archive makes it anew.", name(opened.Meta.Path(archive.ArchiveFile)), printable(opened.InfoDamage.Error()))
		}
	}
	a.opened = nil
}

// tellFindings lists the faults of the archive's own notes that a person has to resolve, with the remedies.
func (a *app) tellFindings(archive *archive.Archive) {
	for _, f := range archive.Findings() {
		a.term.errorf("%s", findingLine(archive.Path, f))
	}
}

func findingLine(archive string, f archive.Finding) string {
	if !f.Seen {
		return fmt.Sprintf("Warning: %s cannot be looked at: %s.", name(f.Path), printable(f.Err.Error()))
	}
	return fmt.Sprintf("Warning: %s: %s. %s.", name(f.Path), printable(f.Err.Error()), remedy(f.Err, archive, filepath.Base(f.Path)))
}

// remedy returns the next step for a fault of a snapshot or of the archive's own files; "" if only another copy can
// help.
func remedy(err error, path, snapshotName string) string {
	where := name(path)
	for _, r := range []struct {
		err  error
		text string
	}{
		{archive.ErrNoFolder, fmt.Sprintf("`snapcopy remove %s %s` removes the rest of it", where, snapshotName)},
		{archive.ErrNoCatalog, fmt.Sprintf("Its files can be copied as they are; `snapcopy catalog rebuild %s@%s` makes the catalog anew, "+
			"`snapcopy remove %s %s` removes the snapshot", where, snapshotName, where, snapshotName)},
		{archive.ErrRepairNote, fmt.Sprintf("`snapcopy repair %s` finds them again", where)},
		{archive.ErrForgetNote, fmt.Sprintf("Give the command again: `snapcopy forget-path %s PATH`; if nothing is to be "+
			"forgotten, remove that file", where)},
		{archive.ErrAcknowledged, fmt.Sprintf("`snapcopy acknowledge %s` makes it anew", where)},
		{archive.ErrReaderNote, "If no instant restore needs the snapshot any more, remove that file"},
		{archive.ErrReaderNotes, "Put the folder back from a copy of the archive, or move away the file in its place if no " +
			"instant restore needs a snapshot"},
		{archive.ErrPins, "Put the folder back from a copy of the archive, or move away the file in its place and pin again"},
		{archive.ErrIndex, fmt.Sprintf("`snapcopy index rebuild %s` makes it anew", where)},
		{index.ErrDamaged, fmt.Sprintf("Its files can be copied as they are; `snapcopy catalog rebuild %s@%s` makes the catalog anew, "+
			"`snapcopy remove %s %s` removes the snapshot", where, snapshotName, where, snapshotName)},
	} {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	return ""
}

// nextStep returns the remedy for a fault of a snapshot of the archive that was opened first, as a sentence after another
// one; "" if there is none.
func (a *app) nextStep(err error, snapshotName string) string {
	if len(a.opened) == 0 {
		return ""
	}
	if text := remedy(err, a.opened[0].Path, snapshotName); text != "" {
		return ". " + text + "."
	}
	return ""
}
