package exclude

import "strings"

// A group is an ordered list of rules of which the last match decides. Patterns without wildcards and patterns such as
// `*.o` are found in maps; only the other patterns cost time proportional to their number.
type group struct {
	entries []*entry
	names   map[string]latest // whole names, anywhere in the tree
	paths   map[string]latest // whole paths
	exts    map[string]latest // ".o" for `*.o`
	globs   []glob            // all others, in order
}

type entry struct {
	rule    Rule
	negated bool
}

// latest has positions in group.entries, plus one; 0 is none.
type latest struct {
	any int // of the last pattern that matches whatever the type
	dir int // of the last pattern that matches only directories
}

type glob struct {
	pattern
	position int // in group.entries, plus one
}

func (g *group) add(rule Rule, p pattern) {
	g.entries = append(g.entries, &entry{rule: rule, negated: p.negated})
	position := len(g.entries)
	switch {
	case p.whole && p.nameOnly:
		put(&g.names, p.literal, p.dirOnly, position)
	case p.whole:
		put(&g.paths, p.literal, p.dirOnly, position)
	case p.isExtension():
		put(&g.exts, p.literal, p.dirOnly, position)
	default:
		g.globs = append(g.globs, glob{p, position})
	}
}

func put(m *map[string]latest, key string, dirOnly bool, position int) {
	if *m == nil {
		*m = make(map[string]latest)
	}
	l := (*m)[key]
	if dirOnly {
		l.dir = position
	} else {
		l.any = position
	}
	(*m)[key] = l
}

func (l latest) position(isDir bool) int {
	if isDir {
		return max(l.any, l.dir)
	}
	return l.any
}

// match returns the entry that decides about path, or nil; name is the last component of path.
func (g *group) match(path, name string, isDir bool) *entry {
	if len(g.entries) == 0 {
		return nil
	}
	found := max(g.names[name].position(isDir), g.paths[path].position(isDir))
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		found = max(found, g.exts[name[dot:]].position(isDir))
	}
	for i := len(g.globs) - 1; i >= 0 && g.globs[i].position > found; i-- {
		if g.globs[i].match(path, name, isDir) {
			found = g.globs[i].position
		}
	}
	if found == 0 {
		return nil
	}
	return g.entries[found-1]
}
