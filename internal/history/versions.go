package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/tree"
	"snapcopy/internal/workers"
)

// Version is one state of a file or a folder, and the consecutive snapshots that have it.
type Version struct {
	Path        string // under which they have it
	First, Last string
	Snapshots   int
	Entry       *index.Entry // as Last has it
	// From is the earlier path if the file was renamed: the snapshot before First has the same content there, and
	// First has Path but no longer From.
	From string
	// Gone is the snapshot after Last if it has no entry under Path, and To the path where it has the same content.
	Gone, To string
	// Changes counts the differences in and below a folder from the snapshot before First.
	Changes map[Kind]uint64

	first int // for sorting
}

// Versions returns every version of a path, elements joined by '/', the oldest first. It follows renames back through
// the content hash: earlier versions come with the path of their time. Content and metadata make a version, the number
// of hard links does not. If the path is in no snapshot, the error is a *[NowhereError].
func (h *History) Versions(ctx context.Context, path string) (list []Version, err error) {
	err = h.without(func() error {
		list, err = h.versions(ctx, path)
		return err
	})
	return list, err
}

func (h *History) versions(ctx context.Context, path string) ([]Version, error) {
	clean := index.CleanPath(path)
	seen, err := h.at(ctx, clean, nil)
	if err != nil {
		return nil, err
	}
	var list []Version
	for from, to := range lives(seen) {
		part, err := h.life(ctx, clean, seen, from, to)
		if err != nil {
			return nil, err
		}
		if to < len(h.past) {
			last := &part[len(part)-1]
			last.Gone = h.past[to].name
			if last.To, err = h.counterpart(ctx, last.Entry, to-1, to); err != nil {
				return nil, err
			}
		}
		list = append(list, part...)
	}
	if list == nil {
		return nil, h.nowhere(ctx, path, clean)
	}
	slices.SortStableFunc(list, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.Path, b.Path))
	})
	// A file that got an old name back was found twice: under that name, and as an earlier name.
	list = slices.CompactFunc(list, func(a, b Version) bool { return a.first == b.first && a.Path == b.Path })
	return list, h.countChanges(ctx, list)
}

// lives yields the spans of consecutive snapshots that have a path: from the first up to, but not including, the
// second number.
func lives(seen []sighting) func(yield func(from, to int) bool) {
	return func(yield func(int, int) bool) {
		for i := 0; i < len(seen); i++ {
			if seen[i].Entry == nil {
				continue
			}
			from := i
			for i < len(seen) && seen[i].Entry != nil {
				i++
			}
			if !yield(from, i) {
				return
			}
		}
	}
}

// life returns the versions of one span of snapshots that have a path, and those under the path it was renamed from.
func (h *History) life(ctx context.Context, path string, seen []sighting, from, to int) ([]Version, error) {
	var list []Version
	for at := from; at < to; {
		v := h.version(path, seen, at, to)
		list = append(list, v)
		at += v.Snapshots
	}
	if from == 0 {
		return list, nil
	}
	was, err := h.counterpart(ctx, seen[from].Entry, from, from-1)
	if err != nil || was == "" {
		return list, err
	}
	list[0].From, list[0].Changes = was, nil
	before, err := h.at(ctx, was, nil)
	if err != nil {
		return nil, err
	}
	begin := from - 1
	for begin > 0 && before[begin-1].Entry != nil {
		begin--
	}
	older, err := h.life(ctx, was, before, begin, from)
	return append(older, list...), err
}

// version returns the version that begins with snapshot at.
func (h *History) version(path string, seen []sighting, at, to int) Version {
	v := Version{Path: path, First: h.past[at].name, first: at, Entry: seen[at].Entry}
	end := at + 1
	for end < to && tree.SameVersion(seen[at].Entry, seen[end].Entry) {
		v.Entry = seen[end].Entry
		end++
	}
	v.Snapshots, v.Last = end-at, h.past[end-1].name
	if v.Entry.Type != index.Dir {
		return v
	}
	v.Changes = make(map[Kind]uint64)
	if at == 0 || seen[at-1].Entry == nil {
		v.Changes[Added] = v.Entry.Below.Files + v.Entry.Below.Dirs + 1
	}
	return v
}

// countChanges compares the versions of a folder with the snapshots before them.
func (h *History) countChanges(ctx context.Context, list []Version) error {
	errs := make([]error, len(list))
	err := workers.Each(ctx, workers.Number(0), len(list), func(_ context.Context, i int) error {
		v := &list[i]
		if v.Changes == nil || len(v.Changes) > 0 || v.first == 0 {
			return nil
		}
		old, young := h.past[v.first-1].catalog, h.past[v.first].catalog
		errs[i] = Compare(old, young, v.Path, func(c Change) error {
			v.Changes[c.Kind]++
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		})
		if unusable(errs[i]) {
			return nil
		}
		return errs[i]
	})
	for i := range errs {
		err = errors.Join(err, h.tolerate(list[i].first, errs[i]))
	}
	return err
}

// counterpart searches snapshot other for the content of e, which snapshot at has, under a path where at does not have
// that content. "" means none. A path with the same last name goes first, then the order of the paths. Empty files and
// folders have no content to identify them.
func (h *History) counterpart(ctx context.Context, e *index.Entry, at, other int) (path string, err error) {
	file := e.Type == index.File && e.Size > 0
	if !file && (e.Type != index.Dir || e.Below == (index.Totals{})) {
		return "", nil
	}
	here, there := h.past[at].catalog, h.past[other].catalog
	root, otherRoot := here.Root(), there.Root()
	err = walkDiffering(ctx, there, here, "", &otherRoot, &root, func(dir string, found *index.Entry) error {
		if found.Hash != e.Hash || found.Type != e.Type {
			return nil
		}
		p := index.Join(dir, found.Name)
		still, ok, err := here.Lookup(p)
		if err != nil || ok && still.Hash == e.Hash {
			return err
		}
		if path == "" {
			path = strings.Clone(p)
		}
		if found.Name == e.Name {
			path = strings.Clone(p)
			return index.SkipAll
		}
		return nil
	})
	if errors.Is(err, index.SkipAll) {
		err = nil
	}
	return path, h.tolerate(other, err)
}

// tolerate records that a catalog is damaged, and continues without its answer.
func (h *History) tolerate(i int, err error) error {
	if err == nil || !unusable(err) {
		return err
	}
	for _, u := range h.unusable {
		if u.Snapshot == h.past[i].name {
			return nil
		}
	}
	h.unusable = append(h.unusable, Unusable{h.past[i].name, err})
	return nil
}
