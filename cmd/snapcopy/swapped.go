package main

import (
	"fmt"
	"path/filepath"

	"snapcopy/internal/archive"
)

// checkOrder refuses to make a new archive where hardly anybody wants one: in the place of SOURCE, when the two were
// swapped, and in the folder of another archive. A source that is an archive itself is copied into one that exists.
func checkOrder(source, arch string) error {
	if isArchive(arch) || archive.OutsideOthers(arch) != nil { // the run tells of a place in a snapshot
		return nil
	}
	if isArchive(source) {
		return &usageError{
			err:  fmt.Errorf("%s is an archive, and %s is none: SOURCE comes first, then ARCHIVE", name(source), name(arch)),
			hint: fmt.Sprintf("are they swapped? `snapcopy snapshot %s %s` takes a snapshot of %s", shellWord(arch), shellWord(source), name(arch)),
		}
	}
	if other := archiveAbove(arch); other != "" {
		return &usageError{
			err:  fmt.Errorf("%s lies in the archive %s: one archive is not made in another", name(arch), name(other)),
			hint: fmt.Sprintf("choose a folder outside of it, or `snapcopy snapshot %s %s`", shellWord(source), shellWord(other)),
		}
	}
	return nil
}

// archiveAbove returns the archive in whose folder a path lies, at any depth; "" if there is none.
func archiveAbove(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if above, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(above, filepath.Base(abs))
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if isArchive(dir) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
