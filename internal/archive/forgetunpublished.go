package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/jsonfile"
)

// rewriteUnpublished takes the path out of the records of runs that published no snapshot. A damaged record, which cannot
// be searched for the path, is removed.
func (w *forgetWork) rewriteUnpublished() error {
	names, err := w.Reports.UnpublishedNames()
	if err != nil {
		return err
	}
	changed := false
	for _, name := range names {
		u, err := w.Reports.ReadUnpublished(name)
		var errno syscall.Errno
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.As(err, &errno): // it could not be read this time, and may be sound
			return err
		case err != nil:
			err = w.Reports.removeUnpublished(name)
			changed = true
		case u.forget(w.path):
			err = jsonfile.Write(w.Reports.unpublishedPath(name), u)
			changed = true
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("record of run %s: %w", name, err)
		}
	}
	if !changed {
		return nil
	}
	return atomicfile.SyncDir(w.Meta.Path(RunsDir))
}

// forget takes a path, with all below it, out of a record, and reports whether the record had it.
func (u *Unpublished) forget(path string) bool {
	before := len(u.Failed) + len(u.LeftOut) + len(u.Altered) + len(u.Rotten) + len(u.UnfinishedRestores)
	at := func(item string) bool { return item == path || strings.HasPrefix(item, path+"/") }
	u.Failed = slices.DeleteFunc(u.Failed, func(f FailedItem) bool { return at(f.Path) })
	u.LeftOut = slices.DeleteFunc(u.LeftOut, func(l LeftOutItem) bool { return at(l.Path) })
	u.Altered = slices.DeleteFunc(u.Altered, func(a Altered) bool { return at(a.Path) })
	u.Rotten = slices.DeleteFunc(u.Rotten, func(r Rotten) bool { return at(r.Path) })
	u.UnfinishedRestores = slices.DeleteFunc(u.UnfinishedRestores, func(l LeftOutItem) bool { return at(l.Path) })
	changed := len(u.Failed)+len(u.LeftOut)+len(u.Altered)+len(u.Rotten)+len(u.UnfinishedRestores) != before
	if mentions(u.Error, path) {
		u.Error, changed = "an error at a path that was forgotten", true
	}
	return changed
}

// mentions reports whether a message has the path, and not only as a part of a word.
func mentions(text, path string) bool {
	const around = " /:;,\"'`()\n"
	for rest := text; ; {
		before, after, found := strings.Cut(rest, path)
		if !found {
			return false
		}
		begins := before == "" && len(rest) == len(text) || before != "" && strings.ContainsRune(around, rune(before[len(before)-1]))
		if begins && (after == "" || strings.ContainsRune(around, rune(after[0]))) {
			return true
		}
		rest = rest[len(before)+1:]
	}
}
