package main

import (
	"strings"
	"unicode/utf8"

	"snapcopy/index"
)

// exportB3sum prints the input of b3sum --check. It counts the names that this format cannot express, and says so.
func exportB3sum(a *app, _ *index.Catalog, each entryVisitor) error {
	var left uint64
	err := each(func(path string, e *index.Entry) error {
		if e.Type != index.File {
			return nil
		}
		if e.Flags&index.ZeroHash != 0 {
			left++
			a.term.errorf("the recorded hash leaves out gigabytes of zeros: %s", name(path))
			return nil
		}
		line, ok := b3sumLine(path, hex(e.Hash))
		if !ok {
			left++
			a.term.errorf("b3sum cannot express this name: %s", name(path))
			return nil
		}
		return a.printf("%s\n", line)
	})
	if err != nil || left == 0 {
		return err
	}
	a.term.errorf("Left out: %s.", counted(left, "file", "files"))
	return told{statusIncomplete}
}

// b3sumLine escapes as b3sum does. The format cannot express names that are not UTF-8 or that contain U+FFFD, which
// stands for such bytes, and releases of b3sum disagree about a carriage return at the end.
func b3sumLine(path, hash string) (line string, ok bool) {
	if !utf8.ValidString(path) || strings.ContainsRune(path, utf8.RuneError) || strings.HasSuffix(path, "\r") {
		return "", false
	}
	if strings.ContainsAny(path, "\\\n") {
		return `\` + hash + "  " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(path), true
	}
	return hash + "  " + path, true
}
