package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/history"
)

// splitPlace splits ARCHIVE@SNAPSHOT; selector is "" if there is none. The path of an archive may contain an '@'
// itself: an existing path is the archive alone, otherwise the last '@' after the path of an archive counts.
func splitPlace(arg string) (archive, selector string, err error) {
	if where, selector := snapshotFolder(arg); selector != "" {
		return where, selector, nil
	}
	if _, err := os.Stat(arg); err == nil {
		return arg, "", nil
	}
	folder := -1 // the last '@' after an existing folder that is not an archive
	for i := len(arg) - 1; i > 0; i-- {
		if arg[i] != '@' {
			continue
		}
		if isArchive(arg[:i]) {
			folder = i
			break
		}
		if info, err := os.Stat(arg[:i]); folder < 0 && err == nil && info.IsDir() {
			folder = i
		}
	}
	if folder < 0 {
		return arg, "", nil
	}
	if folder == len(arg)-1 {
		return "", "", wrongUsage("name a snapshot after the @ of %s", name(arg))
	}
	return arg[:folder], arg[folder+1:], nil
}

// snapshotFolder splits the path of a snapshot's own folder, as a person completes it in a shell: ARCHIVE/SNAPSHOT and
// ARCHIVE/latest mean ARCHIVE@SNAPSHOT and ARCHIVE@latest. selector is "" for any other path.
func snapshotFolder(arg string) (arch, selector string) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", ""
	}
	arch, selector = filepath.Dir(abs), filepath.Base(abs)
	if selector != "latest" && !archive.IsName(selector) || !isArchive(arch) {
		return "", ""
	}
	return arch, selector
}

// insideArchive explains why a path that lies in an archive, or that names a snapshot, could not be opened as an archive.
func insideArchive(arg string, cause error) error {
	if !errors.Is(cause, archive.ErrNoArchive) && !errors.Is(cause, archive.ErrNotArchive) {
		return cause
	}
	m, ok := meaningOf(arg)
	switch {
	case !ok:
		return cause
	case m.selector != "":
		cause = fmt.Errorf("%s names a snapshot, and a whole archive is needed", name(arg))
	default:
		cause = fmt.Errorf("%s is no archive, but lies in one", name(arg))
	}
	return &usageError{err: cause, hint: "give the path of the archive alone: " + shellWord(m.archive)}
}

func isArchive(path string) bool {
	a, err := archive.Open(path)
	if err != nil {
		return false
	}
	return a.Close() == nil
}

// openSnapshot is an open snapshot with its archive.
type openSnapshot struct {
	*archive.OpenSnapshot
	archive *archive.Archive
}

// open opens the snapshot that ARCHIVE[@SNAPSHOT] means, the newest if none is named.
func (a *app) open(arg string) (*openSnapshot, error) {
	where, selector, err := splitPlace(arg)
	if err != nil {
		return nil, err
	}
	if selector == "" {
		selector = "latest"
	}
	archive, err := a.openArchive(where)
	if err != nil {
		return nil, err
	}
	s, err := a.openIn(archive, selector)
	if err != nil {
		return nil, errors.Join(err, archive.Close())
	}
	return s, nil
}

// openIn opens a snapshot of an archive.
func (a *app) openIn(archive *archive.Archive, selector string) (*openSnapshot, error) {
	s, err := archive.Select(selector, a.now(), a.loc)
	if err != nil {
		return nil, err
	}
	open, err := s.Open()
	if err != nil {
		return nil, err
	}
	return &openSnapshot{open, archive}, nil
}

// close closes the archive, too.
func (s *openSnapshot) close() error { return errors.Join(s.OpenSnapshot.Close(), s.archive.Close()) }

// errNotInSnapshot reports a PATH that a snapshot does not have.
var errNotInSnapshot = errors.New("no such file or folder in snapshot")

// find looks up a PATH from the command line; "" and "." are the snapshot's root.
func (s *openSnapshot) find(arg string) (path string, e index.Entry, err error) {
	candidates, err := pathCandidates(arg, s.Catalog.Summary().Source)
	if err != nil {
		return "", index.Entry{}, err
	}
	for _, p := range candidates {
		e, ok, err := s.Catalog.Lookup(p)
		if err != nil {
			return "", index.Entry{}, err
		}
		if ok {
			return p, e, nil
		}
	}
	return "", index.Entry{}, fmt.Errorf("%w %s: %s", errNotInSnapshot, s.Name, name(arg))
}

// lookUp is find for a command that needs the PATH: the error has the nearest names, and the snapshots with the path.
func (s *openSnapshot) lookUp(ctx context.Context, arg string) (path string, e index.Entry, err error) {
	path, e, err = s.find(arg)
	if !errors.Is(err, errNotInSnapshot) {
		return path, e, err
	}
	candidates, err := pathCandidates(arg, s.Catalog.Summary().Source)
	if err != nil {
		return "", e, err
	}
	snapshots, err := s.archive.Snapshots()
	if err != nil {
		return "", e, err
	}
	for _, p := range slices.Backward(candidates) {
		err = history.NotFound(ctx, s.Catalog, snapshots, p)
		var missing *history.NotFoundError
		if errors.As(err, &missing) && missing.Elsewhere != nil {
			break
		}
	}
	return "", e, err
}

// pathCandidates returns the possible meanings of a PATH from the command line, as paths below the snapshot's root: a
// path relative to that root, however it begins, the path that the file had in the source, or a name printed in quotes
// (see name).
func pathCandidates(arg, source string) ([]string, error) {
	if arg == "" {
		return nil, wrongUsage("a PATH is empty")
	}
	slashed := path.Clean(filepath.ToSlash(arg))
	if slashed == ".." || strings.HasPrefix(slashed, "../") {
		return nil, wrongUsage("PATH %s leads out of the snapshot", name(arg))
	}
	list := []string{strings.TrimPrefix(strings.TrimPrefix(slashed, "."), "/")}
	if strings.HasPrefix(slashed, ".") { // a name that begins with a dot
		list[0] = strings.TrimPrefix(slashed, "./")
	}
	if slashed == "." {
		list[0] = ""
	}
	source = filepath.ToSlash(source)
	if rest, ok := strings.CutPrefix(slashed+"/", strings.TrimSuffix(source, "/")+"/"); ok && source != "" {
		list = append(list, strings.TrimSuffix(rest, "/"))
	}
	if printed, err := strconv.Unquote(arg); err == nil && arg[0] == '"' {
		meant, err := pathCandidates(printed, source)
		if err != nil {
			return nil, err
		}
		list = append(list, meant...)
	}
	return list, nil
}
