package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/lookup"
	"snapcopy/internal/workers"
)

// History has the catalogs of an archive's snapshots side by side, the oldest first. It reads only the records on the
// way to an answer, and a folder that is equal in several snapshots once. Its methods may be called one at a time.
type History struct {
	past     []past
	unusable []Unusable
}

// allBlocks is the number of blocks of 128 KiB that all catalogs together cache; each catalog caches one at least.
const allBlocks = 120

type past struct {
	name    string
	catalog *index.Catalog
}

// Unusable is a snapshot whose catalog cannot be read, wholly or in part. Answers leave it out.
type Unusable struct {
	Snapshot string
	Err      error
}

// OpenHistory opens the catalogs of snapshots, given the oldest first. Damaged ones are left out and listed.
func OpenHistory(ctx context.Context, snapshots []archive.Snapshot) (*History, error) {
	h := new(History)
	catalogs, errs := make([]*index.Catalog, len(snapshots)), make([]error, len(snapshots))
	err := workers.Each(ctx, workers.Number(0), len(snapshots), func(_ context.Context, i int) error {
		if catalogs[i], errs[i] = snapshots[i].OpenCatalog(); errs[i] == nil {
			catalogs[i].KeepBlocks(allBlocks / len(snapshots))
		}
		return nil
	})
	for i, r := range snapshots {
		switch {
		case catalogs[i] != nil:
			h.past = append(h.past, past{r.Name, catalogs[i]})
		case unusable(errs[i]):
			h.unusable = append(h.unusable, Unusable{r.Name, errs[i]})
		case errs[i] != nil:
			err = errors.Join(err, fmt.Errorf("catalog of %s: %w", r.Name, errs[i]))
		}
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close closes the catalogs.
func (h *History) Close() error {
	var errs []error
	for _, p := range h.past {
		errs = append(errs, p.catalog.Close())
	}
	return errors.Join(errs...)
}

// Unusable lists the snapshots that the answers so far left out, wholly or in part.
func (h *History) Unusable() []Unusable { return h.unusable }

// Len returns the number of usable snapshots.
func (h *History) Len() int { return len(h.past) }

// Newest returns the name of the newest usable snapshot, "" if there is none.
func (h *History) Newest() string {
	if len(h.past) == 0 {
		return ""
	}
	return h.past[len(h.past)-1].name
}

// Source returns the path of the source of the newest usable snapshot.
func (h *History) Source() string {
	if len(h.past) == 0 {
		return ""
	}
	return h.past[len(h.past)-1].catalog.Summary().Source
}

// sighting is the entry of one snapshot under a path. Its positions are those of the catalog in.
type sighting struct {
	*index.Entry // nil: nothing
	in           int
}

// roots returns the top folders.
func (h *History) roots() []sighting {
	list := make([]sighting, len(h.past))
	for i := range h.past {
		e := h.past[i].catalog.Root()
		list[i] = sighting{&e, i}
	}
	return list
}

// missed is called with the record that lacks the next name of a path, for the snapshots with that record; nil stands
// for an entry that is not a folder.
type missed func(rec *index.Record, folder, name string, snapshots []int)

// badCatalog reports a catalog that cannot be read at a place where it has to be.
type badCatalog struct {
	in  int
	err error
}

func (b *badCatalog) Error() string { return b.err.Error() }
func (b *badCatalog) Unwrap() error { return b.err }

// without calls do. If a catalog turns out to be damaged on the way, it leaves out that snapshot and calls do again.
func (h *History) without(do func() error) error {
	for {
		err := do()
		var bad *badCatalog
		if !errors.As(err, &bad) {
			return err
		}
		if err := h.drop(bad.in, bad.err); err != nil {
			return err
		}
	}
}

// drop leaves out a snapshot.
func (h *History) drop(i int, cause error) error {
	h.unusable = append(h.unusable, Unusable{h.past[i].name, cause})
	err := h.past[i].catalog.Close()
	h.past = slices.Delete(h.past, i, i+1)
	return err
}

// at returns the entries under a path, one for each snapshot that has it.
func (h *History) at(ctx context.Context, path string, miss missed) ([]sighting, error) {
	list := h.roots()
	if path == "" {
		return list, nil
	}
	folder := ""
	for name := range strings.SplitSeq(path, "/") {
		groups := sameFolders(list)
		for i, s := range list {
			if s.Entry != nil && s.Type != index.Dir && miss != nil {
				miss(nil, folder, name, []int{i})
			}
		}
		next := make([]sighting, len(list))
		var mu sync.Mutex
		err := workers.Each(ctx, workers.Number(0), len(groups), func(_ context.Context, i int) error {
			g := &groups[i]
			rec, err := h.read(g.in, g.child)
			if err != nil {
				return err
			}
			e, ok := rec.Find(name)
			if !ok {
				if miss != nil {
					mu.Lock()
					defer mu.Unlock()
					miss(rec, folder, name, g.snapshots)
				}
				return nil
			}
			own := kept(&e)
			for _, s := range g.snapshots {
				next[s] = sighting{own, g.in}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		list, folder = next, index.Join(folder, name)
	}
	return list, nil
}

// sameFolder is a folder that is equal in several snapshots: the place to read it from, and the snapshots.
type sameFolder struct {
	in        int
	child     uint64
	snapshots []int
}

// sameFolders groups the sightings of folders by content.
func sameFolders(list []sighting) (groups []sameFolder) {
	byHash := make(map[index.Hash]int)
	for i, s := range list {
		if s.Entry == nil || s.Type != index.Dir {
			continue
		}
		g, ok := byHash[s.Hash]
		if !ok {
			g = len(groups)
			byHash[s.Hash] = g
			groups = append(groups, sameFolder{in: s.in, child: s.Child})
		}
		groups[g].snapshots = append(groups[g].snapshots, i)
		if s.in > groups[g].in { // reading from the newest snapshots reads from few catalogs
			groups[g].in, groups[g].child = s.in, s.Child
		}
	}
	return groups
}

// kept copies an entry out of its record.
func kept(e *index.Entry) *index.Entry {
	own := *e
	own.Name, own.Target = strings.Clone(e.Name), strings.Clone(e.Target)
	return &own
}

// read reads a record of one of the catalogs.
func (h *History) read(in int, child uint64) (*index.Record, error) {
	rec, err := h.past[in].catalog.ReadDir(child)
	if unusable(err) {
		err = &badCatalog{in, err}
	}
	return rec, err
}

// Sighting is a path with the snapshots that have it.
type Sighting struct {
	Path        string
	First, Last string
	Snapshots   int
}

// Seen returns the snapshots that have a path; ok is false if none has.
func (h *History) Seen(ctx context.Context, path string) (s Sighting, ok bool, err error) {
	err = h.without(func() error {
		s, ok, err = h.seen(ctx, path)
		return err
	})
	return s, ok, err
}

func (h *History) seen(ctx context.Context, path string) (s Sighting, ok bool, err error) {
	list, err := h.at(ctx, index.CleanPath(path), nil)
	if err != nil {
		return s, false, err
	}
	s.Path = path
	for i := range list {
		if list[i].Entry == nil {
			continue
		}
		if s.Snapshots == 0 {
			s.First = h.past[i].name
		}
		s.Last = h.past[i].name
		s.Snapshots++
	}
	return s, s.Snapshots > 0, nil
}

// NowhereError reports a path that is in no readable snapshot. errors.Is finds fs.ErrNotExist in it, and the errors of
// unreadable catalogs.
type NowhereError struct {
	Path     string
	Nearest  []Sighting // the most similar paths and their snapshots; may be empty
	Unusable []Unusable // snapshots that may have it all the same
}

func (e *NowhereError) Error() string {
	text := fmt.Sprintf("%q is in no snapshot", e.Path)
	if len(e.Unusable) > 0 {
		text += " that can be read"
	}
	for i, near := range e.Nearest {
		if i == 0 {
			text += "; nearest:"
		} else {
			text += ","
		}
		text += fmt.Sprintf(" %q (%s)", near.Path, near.span())
	}
	return text
}

func (e *NowhereError) Unwrap() []error {
	list := []error{fs.ErrNotExist}
	for _, u := range e.Unusable {
		list = append(list, u.Err)
	}
	return list
}

// span lists the snapshots that have the path.
func (s *Sighting) span() string {
	if s.Snapshots == 1 {
		return "in snapshot " + s.First
	}
	return fmt.Sprintf("in %d snapshots, %s to %s", s.Snapshots, s.First, s.Last)
}

// nowhere proposes similar names for a path that no snapshot has.
func (h *History) nowhere(ctx context.Context, path, clean string) error {
	list, err := h.proposals(ctx, clean)
	if err != nil {
		return err
	}
	var names []string
	missing := &NowhereError{Path: path, Unusable: slices.Clone(h.unusable)}
	for _, p := range list {
		for _, n := range p.names {
			if slices.Contains(names, n) || len(names) == lookup.MaxNearest {
				continue
			}
			names = append(names, n)
			s, ok, err := h.seen(ctx, n+p.rest)
			if err == nil && !ok {
				s, ok, err = h.seen(ctx, n)
			}
			if err != nil {
				return err
			}
			if ok {
				missing.Nearest = append(missing.Nearest, s)
			}
		}
	}
	return missing
}

// proposal is the names similar to the one at which a path ended in some snapshots.
type proposal struct {
	newest int // of those snapshots
	names  []string
	rest   string // of the path, below them
}

// proposals gives the names that are similar, those of the newest snapshots first. If the path is a single name, or no name
// is similar, entries elsewhere in the newest snapshot with the last name of the path come before them.
func (h *History) proposals(ctx context.Context, clean string) (list []proposal, err error) {
	_, err = h.at(ctx, clean, func(rec *index.Record, folder, name string, snapshots []int) {
		p := proposal{newest: slices.Max(snapshots)}
		if rec == nil {
			p.names = []string{folder}
		} else {
			p.rest = strings.TrimPrefix(clean, index.Join(folder, name))
			for _, near := range lookup.Nearest(rec, name) {
				p.names = append(p.names, index.Join(folder, near))
			}
		}
		list = append(list, p)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b proposal) int { return cmp.Compare(b.newest, a.newest) })
	alike := slices.ContainsFunc(list, func(p proposal) bool { return len(p.names) > 0 })
	newest := len(h.past) - 1
	if newest < 0 || alike && !lookup.IsSingleName(clean) {
		return list, nil
	}
	named, err := lookup.NamedAlike(h.past[newest].catalog, clean)
	if unusable(err) {
		err = &badCatalog{newest, err}
	}
	return slices.Insert(list, 0, proposal{newest: newest, names: named}), err
}
