package history

import (
	"fmt"
	"path"
	"strings"

	"snapcopy/index"
)

// Glob gives the paths of a snapshot that match a pattern, in the order of the names. The elements of the pattern are
// those of [path.Match]; an element "**" stands for any number of folders, none among them. It returns none for what is
// no pattern. An error wraps [path.ErrBadPattern], or comes from the catalog.
func Glob(c *index.Catalog, pattern string) ([]string, error) {
	clean := index.CleanPath(pattern)
	if !strings.ContainsAny(clean, "*?[") {
		return nil, nil
	}
	elements := strings.Split(clean, "/")
	for _, e := range elements {
		if _, err := path.Match(e, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	root := c.Root()
	g := globber{c: c, seen: make(map[string]bool)}
	err := g.match("", &root, elements)
	return g.found, err
}

type globber struct {
	c     *index.Catalog
	found []string
	seen  map[string]bool // several "**" can lead to one path
}

// match adds what matches below the folder e.
func (g *globber) match(folder string, e *index.Entry, elements []string) error {
	if e.Type != index.Dir {
		return nil
	}
	if elements[0] == "**" && len(elements) > 1 {
		if err := g.match(folder, e, elements[1:]); err != nil {
			return err
		}
	}
	rec, err := g.c.ReadDir(e.Child)
	if err != nil {
		return err
	}
	for _, child := range rec.Entries() {
		at := index.Join(folder, child.Name)
		if elements[0] == "**" {
			if len(elements) == 1 {
				g.add(at)
			} else if err := g.match(at, child, elements); err != nil {
				return err
			}
			continue
		}
		if ok, err := path.Match(elements[0], child.Name); err != nil || !ok {
			continue // the pattern was checked
		}
		if len(elements) == 1 {
			g.add(at)
		} else if err := g.match(at, child, elements[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (g *globber) add(found string) {
	if !g.seen[found] {
		g.seen[found] = true
		g.found = append(g.found, strings.Clone(found))
	}
}
