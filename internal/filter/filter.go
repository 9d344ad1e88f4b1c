// Package filter decides which entries of a source a run leaves out. A restore that deletes asks the same about its
// target: an entry that the filters of a snapshot match was never in that snapshot, and must not be deleted as missing
// from it.
//
// A filter never leaves out an entry because it could not look: it returns the error, or takes the entry and leaves
// the error to the run that reads the file.
//
// A Filter is kept in the run's report as JSON; names that are not UTF-8 have a field of their own there, in base64.
package filter

import (
	"bytes"
	"errors"
	"fmt"

	"snapcopy/internal/exclude"
	"snapcopy/internal/fsat"
)

// Filter is the set of rules by which a run leaves entries out. The zero value leaves out nothing. Any number of
// goroutines may use a Filter at once.
type Filter struct {
	Patterns      *exclude.Matcher // nil: none
	Caches        bool             // folders with a CACHEDIR.TAG
	IfPresent     []string         // folders that contain one of these names
	Larger        int64            // regular files of more bytes than this; 0: no limit
	OneFileSystem bool             // entries on other file systems; their mount points stay, as empty folders
	NoDump        bool             // entries with the attribute "d" (chattr +d); folders with all below
}

// The names of the rules that are not patterns.
const (
	RuleOneFileSystem = "--one-file-system"
	ruleNoDump        = "--respect-nodump"
	ruleCaches        = "--exclude-caches"
)

// ByName reports whether any rule looks at paths. Without one, callers may skip Name.
func (f *Filter) ByName() bool { return f.Patterns != nil && !f.Patterns.Empty() }

// ByState reports whether any rule looks at the content or metadata of an entry, which can change, rather than at its
// path.
func (f *Filter) ByState() bool {
	return f.Caches || len(f.IfPresent) > 0 || f.Larger > 0 || f.NoDump
}

// Name returns the rule that leaves out a path below the source because of its name, or "". Entries below a folder
// that is left out are left out too, and need not match.
func (f *Filter) Name(path string, dir bool) (rule string) {
	if f.Patterns == nil {
		return ""
	}
	if r, out := f.Patterns.Match(path, dir); out {
		return r.String()
	}
	return ""
}

// File returns the rule that leaves out an entry other than a folder because of its size or attributes, or "".
func (f *Filter) File(dir int, name string, st *fsat.Stat) (rule string, err error) {
	if f.Larger > 0 && st.Type == fsat.Regular && st.Size > f.Larger {
		return fmt.Sprintf("--exclude-larger-than %d", f.Larger), nil
	}
	if f.NoDump {
		if out, err := noDumpAt(dir, name, st); err != nil || out {
			return ruleNoDump, err
		}
	}
	return "", nil
}

// Dir returns the rule that leaves out an open folder, with all below it, because of its attributes or of a name in
// it, or "".
func (f *Filter) Dir(fd int, st *fsat.Stat) (rule string, err error) {
	if f.NoDump {
		if out, err := noDump(fd, st); err != nil || out {
			return ruleNoDump, err
		}
	}
	if f.Caches {
		if is, err := isCache(fd); err != nil || is {
			return ruleCaches, err
		}
	}
	var marker fsat.Stat
	for _, name := range f.IfPresent {
		err := fsat.StatAt(fd, name, &marker)
		if err == nil {
			return "--exclude-if-present " + name, nil
		}
		if !fsat.IsGone(err) && !fsat.IsRefused(err) {
			return "", fmt.Errorf("stat %s: %w", name, err)
		}
	}
	return "", nil
}

// noDump reports whether an open file or folder has the attribute "no dump".
func noDump(fd int, st *fsat.Stat) (bool, error) {
	if st.AttrsTold&fsat.NoDump != 0 {
		return st.Attrs&fsat.NoDump != 0, nil
	}
	attrs, err := fsat.Attrs(fd)
	return attrs&fsat.NoDump != 0, err
}

// noDumpAt is noDump for a name. It opens regular files only, and only if stat data do not include attributes.
func noDumpAt(dir int, name string, st *fsat.Stat) (out bool, err error) {
	if st.AttrsTold&fsat.NoDump != 0 || st.Type != fsat.Regular {
		return st.Attrs&fsat.NoDump != 0, nil
	}
	fd, err := fsat.OpenFile(dir, name)
	if err != nil {
		return false, nil // reading the file itself reports the error
	}
	out, err = noDump(fd, st)
	return out, errors.Join(err, fsat.Close(fd))
}

// cacheTag begins the file CACHEDIR.TAG of a cache folder (https://bford.info/cachedir/).
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55"

func isCache(dir int) (is bool, err error) {
	var st fsat.Stat
	if err := fsat.StatAt(dir, "CACHEDIR.TAG", &st); err != nil || st.Type != fsat.Regular {
		return false, nil
	}
	fd, err := fsat.OpenFile(dir, "CACHEDIR.TAG")
	if err != nil {
		return false, nil // reading the file itself reports the error
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	head := make([]byte, len(cacheTag))
	n, err := fsat.Read(fd, head, 0)
	return bytes.Equal(head[:n], []byte(cacheTag)), err
}
