package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapcopy/index"
)

// NotFoundError says that a path is not in a snapshot. errors.Is finds fs.ErrNotExist in it.
type NotFoundError struct {
	Path     string
	Snapshot string
	Nearest  []string // paths that exist and look most like it, the best first; may be empty
	// Elsewhere, if it was asked for, says which other snapshots have the path.
	Elsewhere *Sighting
	Unusable  []Unusable // snapshots that could not be asked
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("%q is not in snapshot %s", e.Path, e.Snapshot)
	for i, path := range e.Nearest {
		if i == 0 {
			text += "; nearest:"
		} else {
			text += ","
		}
		text += fmt.Sprintf(" %q", path)
	}
	if e.Elsewhere != nil {
		text += "; it is " + e.Elsewhere.span()
	}
	for i, u := range e.Unusable {
		if i == 0 {
			text += "; not asked, for their catalogs cannot be read:"
		} else {
			text += ","
		}
		text += " " + u.Snapshot
	}
	return text
}

func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// selection is one path to restore.
type selection struct {
	folder string // of the snapshot, that holds the entry
	entry  index.Entry
}

// selectPaths looks up the paths. It returns nil for the whole snapshot: no paths, or its root alone. Unless they keep
// their places, no two different ones may have the same last element.
func selectPaths(c *index.Catalog, paths []string, inPlace bool) ([]selection, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	list := make([]selection, 0, len(paths))
	names := make(map[string]string, len(paths))
	for _, path := range paths {
		clean := cleanPath(path)
		if clean == "" {
			if !slices.ContainsFunc(paths, func(p string) bool { return cleanPath(p) != "" }) {
				return nil, nil
			}
			return nil, fmt.Errorf("restore %q: the whole snapshot cannot be restored together with other paths", path)
		}
		e, ok, err := c.Lookup(clean)
		if err != nil {
			return nil, fmt.Errorf("look up %q: %w", path, err)
		}
		if !ok {
			return nil, notFound(c, path, clean)
		}
		as := e.Name
		if inPlace {
			as = clean
		}
		if other, taken := names[as]; taken {
			if other == clean {
				continue // named twice
			}
			return nil, fmt.Errorf("%q and %q %w", other, clean, ErrSameName)
		}
		names[as] = clean
		folder := strings.TrimSuffix(strings.TrimSuffix(clean, e.Name), "/")
		list = append(list, selection{folder, e})
	}
	if inPlace { // what lies in another path is restored with that
		list = slices.DeleteFunc(list, func(s selection) bool {
			for folder := s.folder; folder != ""; folder = folderOf(folder) {
				if _, taken := names[folder]; taken {
					return true
				}
			}
			return false
		})
	}
	return list, nil
}

// cleanPath drops empty elements and ".", so that "/a//b/" is "a/b". Elements ".." stay and are found nowhere.
func cleanPath(path string) string {
	parts := strings.Split(path, "/")
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" || s == "." })
	return strings.Join(parts, "/")
}

// NotFound makes the error for a path that is not in the snapshot of a catalog: a *[NotFoundError] with the nearest names
// and with those of the archive's snapshots, given the oldest first, that have the path.
func NotFound(ctx context.Context, c *index.Catalog, snapshots []Ref, path string) error {
	clean := cleanPath(path)
	err := notFound(c, path, clean)
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		return err
	}
	h, err := OpenHistory(ctx, snapshots)
	if err != nil {
		return errors.Join(missing, err)
	}
	seen, ok, err := h.Seen(ctx, clean)
	if ok {
		missing.Elsewhere = &seen
	}
	missing.Unusable = h.Unusable()
	if err := errors.Join(err, h.Close()); err != nil {
		return errors.Join(missing, err)
	}
	return missing
}

// maxNearest is how many paths are proposed in place of one that is not there.
const maxNearest = 3

// notFound proposes names from the deepest directory on the way that exists, or what is below them if only that one name
// is wrong; before them, if the path is a name alone, or no name there looks alike, entries of the last name elsewhere in the
// snapshot.
func notFound(c *index.Catalog, path, clean string) error {
	missing := &NotFoundError{Path: path, Snapshot: c.Summary().Snapshot}
	at := c.Root()
	folder := ""
	for name := range strings.SplitSeq(clean, "/") {
		if at.Type != index.Dir {
			missing.Nearest = []string{folder}
			return missing
		}
		rec, err := c.ReadDir(at.Child)
		if err != nil {
			return fmt.Errorf("look up %q: %w", path, err)
		}
		next, ok := rec.Find(name)
		if !ok {
			rest := strings.TrimPrefix(clean, join(folder, name))
			for _, near := range nearest(rec, name) {
				found := join(folder, near)
				if _, ok, err := c.Lookup(found + rest); err != nil {
					return fmt.Errorf("look up %q: %w", found+rest, err)
				} else if ok {
					found += rest
				}
				missing.Nearest = append(missing.Nearest, found)
			}
			if len(missing.Nearest) == 0 || isName(clean) {
				named, err := namedAlike(c, clean)
				if err != nil {
					return fmt.Errorf("look up %q: %w", path, err)
				}
				for _, near := range missing.Nearest {
					if len(named) < maxNearest && !slices.Contains(named, near) {
						named = append(named, near)
					}
				}
				missing.Nearest = named
			}
			return missing
		}
		at, folder = next, join(folder, name)
	}
	return missing
}

// isName reports a path without a folder: who gives it may not know in which folder it is.
func isName(clean string) bool { return clean != "" && !strings.Contains(clean, "/") }

// namedAlike finds entries anywhere in a snapshot that have the last name of a path, but for the case of letters.
func namedAlike(c *index.Catalog, path string) (found []string, err error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	err = c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if strings.EqualFold(e.Name, name) {
			found = append(found, strings.Clone(join(dir, e.Name)))
		}
		if len(found) == maxNearest {
			return index.SkipAll
		}
		return nil
	})
	return found, err
}

// nearest finds the names of a record that take few changes to become name: at most a third of its letters, or that
// begin with it, or with which it begins.
func nearest(rec *index.Record, name string) []string {
	type candidate struct {
		name string
		cost int
	}
	var list []candidate
	limit := max(len(name)/3, 1)
	lower := strings.ToLower(name)
	for _, e := range rec.Entries() {
		other := strings.ToLower(e.Name)
		cost := changes(lower, other, limit)
		if cost > limit && begins(lower, other) {
			cost = limit
		}
		if cost <= limit {
			list = append(list, candidate{strings.Clone(e.Name), cost})
			slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
			list = list[:min(len(list), maxNearest)]
		}
	}
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].name
	}
	return out
}

// begins reports whether one name is the other without its end, such as ".txt", and says enough by itself.
func begins(a, b string) bool {
	return min(len(a), len(b)) >= 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// changes counts the bytes to insert, remove or replace, and the neighbours to swap, to turn a into b; above limit it may
// stop counting.
func changes(a, b string, limit int) int {
	if d := len(a) - len(b); max(d, -d) > limit {
		return limit + 1
	}
	above, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	next := make([]int, len(b)+1)
	for i := range len(a) {
		next[0] = i + 1
		least := next[0]
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, next[j]+1, row[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], above[j-1]+1)
			}
			least = min(least, next[j+1])
		}
		if least > limit {
			return limit + 1
		}
		above, row, next = row, next, above
	}
	return row[len(b)]
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
