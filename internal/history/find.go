package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"snapcopy/index"
	"snapcopy/internal/exclude"
	"snapcopy/internal/pair"
	"snapcopy/internal/workers"
)

// ErrPattern is wrapped by the error for a pattern that can match nothing.
var ErrPattern = errors.New("pattern can match nothing")

// Query has the conditions of a search. An entry has to meet all of them; every entry meets the zero value.
type Query struct {
	// Patterns are those of .gitignore files: one without a slash is compared with names, others with whole paths;
	// `**` stands for any folders; a slash at the end matches only folders. The last pattern that matches decides; a
	// pattern that begins with '!' drops entries that earlier patterns have found. None: everything matches.
	Patterns []string
	FoldCase bool         // letters count whatever their case; sets like [A-z] know the case of A to Z alone
	Types    []index.Type // one of these; none: any

	MinSize, MaxSize *uint64     // limits of the size, both included; regular files only
	After, Before    *index.Time // modified at After or later, and earlier than Before
}

// Match is a path that meets a query, and the snapshots whose entry meets it.
type Match struct {
	Path        string
	First, Last string
	Snapshots   int          // at most those from First to Last
	Entry       *index.Entry // entry in the snapshot Last; valid until the visit ends
}

// Find calls visit for every path that meets the query in at least one snapshot, in the order of the paths, a folder
// before its entries. It reads a folder that is equal in several snapshots once, so the work is that of the newest
// snapshot and of the changes since the others. A single pattern that begins with folder names limits the search to
// that folder. Memory is bounded by the folders on the way from the top, and by 15 MiB or 128 KiB for each snapshot.
//
// An error of visit ends the search and is returned.
func (h *History) Find(ctx context.Context, q Query, visit func(Match) error) error {
	f := finder{h: h, ctx: ctx, q: &q, visit: visit}
	if err := f.compile(); err != nil {
		return err
	}
	top := q.start()
	return h.without(func() error {
		start, err := h.at(ctx, top, nil)
		if err != nil {
			return err
		}
		return f.folder(top, sameFolders(start))
	})
}

// finder is the state of one Find.
type finder struct {
	h       *History
	ctx     context.Context
	q       *Query
	visit   func(Match) error
	matcher *exclude.Matcher // nil: everything matches
	paths   bool             // some pattern is about paths
	told    bool
	last    string // path visited last; a search that begins anew skips the paths up to it
}

func (f *finder) compile() error {
	if len(f.q.Patterns) == 0 {
		return nil
	}
	for _, p := range f.q.Patterns {
		f.paths = f.paths || strings.Contains(strings.TrimSuffix(p, "/"), "/")
	}
	var err error
	f.matcher, err = f.q.matcher()
	return err
}

// matcher has the patterns. An error wraps ErrPattern.
func (q *Query) matcher() (*exclude.Matcher, error) {
	m := exclude.New()
	for _, p := range q.Patterns {
		if q.FoldCase {
			p = lowerBeyondASCII(p)
		}
		if err := m.AddRule(exclude.Rule{Pattern: p, Source: "pattern", Fold: q.FoldCase}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPattern, err)
		}
	}
	if warnings := m.Warnings(); len(warnings) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrPattern, strings.Join(warnings, "; "))
	}
	return m, nil
}

// start returns the folder that contains all possible matches of a single pattern, or "".
func (q *Query) start() string {
	if len(q.Patterns) != 1 || q.FoldCase {
		return ""
	}
	parts := strings.Split(strings.Trim(q.Patterns[0], "/"), "/")
	n := slices.IndexFunc(parts, func(s string) bool { return strings.ContainsAny(s, `*?[\!`) })
	if n < 0 {
		n = len(parts)
	}
	return strings.Join(parts[:min(n, len(parts)-1)], "/")
}

// open is a folder that is equal in several snapshots, with its iterator.
type open struct {
	sameFolder
	listing
}

// folder searches one folder in all its forms.
func (f *finder) folder(path string, forms []sameFolder) error {
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	list, err := f.open(forms)
	if err != nil {
		return err
	}
	lists := make([]pair.Next[index.Entry], len(list))
	for i, o := range list {
		lists[i] = o.next
	}
	for row := range pair.Rows(lists, index.CompareNames) {
		if err := f.entry(path, list, row); err != nil {
			return err
		}
	}
	return nil
}

// open reads the records of a folder's forms, each from its catalog.
func (f *finder) open(forms []sameFolder) ([]*open, error) {
	list := make([]*open, len(forms))
	read := func(_ context.Context, i int) error {
		rec, err := f.h.read(forms[i].in, forms[i].child)
		if err != nil {
			return err
		}
		list[i] = &open{sameFolder: forms[i], listing: listing{rec: rec, cursor: rec.Cursor()}}
		return nil
	}
	if len(forms) == 1 {
		return list, read(f.ctx, 0)
	}
	return list, workers.Each(f.ctx, workers.Number(0), len(forms), read)
}

// entry handles one name in all forms of its folder; row has the entry of each form, or nil.
func (f *finder) entry(folder string, list []*open, row []*index.Entry) error {
	var m Match
	var below []sighting
	first, last := -1, -1
	name := ""
	for i, o := range list {
		e := row[i]
		if e == nil {
			continue
		}
		name = e.Name
		if f.meets(folder, e) {
			m.Snapshots += len(o.snapshots)
			if n := o.snapshots[0]; first < 0 || n < first {
				first = n
			}
			if n := o.snapshots[len(o.snapshots)-1]; n > last {
				last, m.Entry = n, e
			}
		}
		if e.Type == index.Dir {
			if below == nil {
				below = make([]sighting, len(f.h.past))
			}
			for _, n := range o.snapshots {
				below[n] = sighting{e, o.in}
			}
		}
	}
	if first >= 0 {
		m.Path, m.First, m.Last = index.Join(folder, name), f.h.past[first].name, f.h.past[last].name
		if err := f.tell(m); err != nil {
			return err
		}
	}
	if below == nil {
		return nil
	}
	return f.folder(index.Join(folder, name), sameFolders(below))
}

func (f *finder) tell(m Match) error {
	if f.told && comparePaths(m.Path, f.last) <= 0 {
		return nil
	}
	f.told, f.last = true, m.Path
	return f.visit(m)
}

// comparePaths compares element by element, so that a folder comes right before its entries.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// meets reports whether an entry meets the query.
func (f *finder) meets(folder string, e *index.Entry) bool {
	q := f.q
	if !q.hasType(e) || !q.hasSize(e) || !q.hasTime(e) {
		return false
	}
	if f.matcher == nil {
		return true
	}
	path := e.Name
	if f.paths {
		path = index.Join(folder, e.Name)
	}
	if q.FoldCase {
		path = lowerBeyondASCII(path)
	}
	_, found := f.matcher.Match(path, e.Type == index.Dir)
	return found
}

// lowerBeyondASCII lower-cases the letters that a rule's Fold leaves as they are. Bytes that are not UTF-8 stay.
func lowerBeyondASCII(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r < utf8.RuneSelf || r == utf8.RuneError {
			b.WriteString(s[:n])
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
		s = s[n:]
	}
	return b.String()
}

func (q *Query) hasType(e *index.Entry) bool {
	return len(q.Types) == 0 || slices.Contains(q.Types, e.Type)
}

// hasSize reports whether an entry meets the bounds of size, which no folder does.
func (q *Query) hasSize(e *index.Entry) bool {
	if q.MinSize == nil && q.MaxSize == nil {
		return true
	}
	return e.Type == index.File && (q.MinSize == nil || e.Size >= *q.MinSize) && (q.MaxSize == nil || e.Size <= *q.MaxSize)
}

func (q *Query) hasTime(e *index.Entry) bool {
	return (q.After == nil || !earlier(e.Mtime, *q.After)) && (q.Before == nil || earlier(e.Mtime, *q.Before))
}

func earlier(a, b index.Time) bool { return a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec }
