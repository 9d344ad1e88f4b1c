package history

import (
	"strings"

	"snapcopy/index"
	"snapcopy/internal/exclude"
)

// Glob returns the paths of a snapshot that match a pattern, in the order of the names. If a folder matches, Glob
// returns none of the paths below it, since the folder stands for them. Patterns are those of Query, with `./` for the
// top of the snapshot: a pattern without a slash is compared with names in all folders. Glob returns no path for a
// text without `*` or `?`: names have brackets often enough, and a mistyped one must not stand for another file. An error
// wraps ErrPattern, or comes from the catalog.
func Glob(c *index.Catalog, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?") {
		return nil, nil
	}
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		pattern = "/" + strings.TrimLeft(rest, "/")
	}
	q := Query{Patterns: []string{pattern}}
	m, err := q.matcher()
	if err != nil {
		return nil, err
	}
	top, e := "", c.Root()
	if strings.Contains(strings.TrimRight(pattern, "/"), "/") {
		top = q.start()
	}
	if top != "" {
		var ok bool
		if e, ok, err = c.Lookup(top); err != nil || !ok {
			return nil, err
		}
	}
	g := globber{c: c, m: m}
	err = g.below(top, &e)
	return g.found, err
}

type globber struct {
	c     *index.Catalog
	m     *exclude.Matcher
	found []string
}

// below adds the matches below e.
func (g *globber) below(folder string, e *index.Entry) error {
	if e.Type != index.Dir {
		return nil
	}
	rec, err := g.c.ReadDir(e.Child)
	if err != nil {
		return err
	}
	for _, child := range rec.Entries() {
		at := index.Join(folder, child.Name)
		if _, matches := g.m.Match(at, child.Type == index.Dir); matches {
			g.found = append(g.found, strings.Clone(at))
		} else if err := g.below(at, child); err != nil {
			return err
		}
	}
	return nil
}
