package main

import (
	"strings"
	"unicode/utf8"

	"snapcopy/index"
)

// exportB3sum prints what b3sum --check reads. The names that it cannot express are told and counted.
func exportB3sum(a *app, _ *index.Catalog, each entryVisitor) error {
	var left uint64
	err := each(func(path string, e *index.Entry) error {
		if e.Type != index.File {
			return nil
		}
		if e.Flags&index.ZeroHash != 0 {
			left++
			a.term.errorf("gigabytes of zeros in it, which its hash leaves out: %s", name(path))
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

// b3sumLine escapes as b3sum does. A list cannot hold names that are not UTF-8 or hold U+FFFD, which stands for that,
// and releases of b3sum disagree about a carriage return at the end.
func b3sumLine(path, hash string) (line string, ok bool) {
	if !utf8.ValidString(path) || strings.ContainsRune(path, utf8.RuneError) || strings.HasSuffix(path, "\r") {
		return "", false
	}
	if strings.ContainsAny(path, "\\\n") {
		return `\` + hash + "  " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(path), true
	}
	return hash + "  " + path, true
}
