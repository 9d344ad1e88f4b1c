package lookup

import (
	"cmp"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"snapcopy/index"
)

// NotFoundError reports a path that is not in a snapshot. errors.Is finds fs.ErrNotExist in it.
type NotFoundError struct {
	Path     string
	Snapshot string
	Nearest  []string // the most similar paths, the best first; may be empty
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
	return text
}

func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// MaxNearest is the number of paths proposed in place of a missing one.
const MaxNearest = 3

// NotFound returns a NotFoundError with proposals: names in the deepest folder on the way that exists, with the rest
// of the path if only that one name is wrong. If the path is a single name, or no name there is similar, entries
// elsewhere in the snapshot with the last name of the path come before them.
func NotFound(c *index.Catalog, path, clean string) error {
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
			rest := strings.TrimPrefix(clean, index.Join(folder, name))
			for _, near := range Nearest(rec, name) {
				found := index.Join(folder, near)
				if _, ok, err := c.Lookup(found + rest); err != nil {
					return fmt.Errorf("look up %q: %w", found+rest, err)
				} else if ok {
					found += rest
				}
				missing.Nearest = append(missing.Nearest, found)
			}
			if len(missing.Nearest) == 0 || IsSingleName(clean) {
				named, err := NamedAlike(c, clean)
				if err != nil {
					return fmt.Errorf("look up %q: %w", path, err)
				}
				for _, near := range missing.Nearest {
					if len(named) < MaxNearest && !slices.Contains(named, near) {
						named = append(named, near)
					}
				}
				missing.Nearest = named
			}
			return missing
		}
		at, folder = next, index.Join(folder, name)
	}
	return missing
}

// IsSingleName reports whether a path is a single name, whose folder the person may not know.
func IsSingleName(clean string) bool { return clean != "" && !strings.Contains(clean, "/") }

// NamedAlike finds entries anywhere in a snapshot with the last name of a path, ignoring case.
func NamedAlike(c *index.Catalog, path string) (found []string, err error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	err = c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if strings.EqualFold(e.Name, name) {
			found = append(found, strings.Clone(index.Join(dir, e.Name)))
		}
		if len(found) == MaxNearest {
			return index.SkipAll
		}
		return nil
	})
	return found, err
}

// Nearest returns the names of a record that are near to name, as NearestOf does.
func Nearest(rec *index.Record, name string) []string {
	return NearestOf(func(yield func(string) bool) {
		for _, e := range rec.Entries() {
			if !yield(e.Name) {
				return
			}
		}
	}, name)
}

// NearestOf returns the names that take few changes to become name (at most a third of its letters), that begin with
// name, or with which name begins; the nearest first, at most MaxNearest.
func NearestOf(names iter.Seq[string], name string) []string {
	type candidate struct {
		name string
		cost int
	}
	var list []candidate
	limit := max(len(name)/3, 1)
	lower := strings.ToLower(name)
	for n := range names {
		other := strings.ToLower(n)
		cost := changes(lower, other, limit)
		if cost > limit && begins(lower, other) {
			cost = limit
		}
		if cost <= limit {
			list = append(list, candidate{strings.Clone(n), cost})
			slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
			list = list[:min(len(list), MaxNearest)]
		}
	}
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].name
	}
	return out
}

// begins reports whether one name is the other without its end, such as ".txt", and is long enough to mean the same.
func begins(a, b string) bool {
	return min(len(a), len(b)) >= 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// changes counts the bytes to insert, remove or replace, and the neighbours to swap, to turn a into b; above limit it
// may stop counting.
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
