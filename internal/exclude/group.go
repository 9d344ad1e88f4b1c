package exclude

import (
	"strings"
	"sync/atomic"
)

// A group is an ordered list of rules of which the last match decides.
type group struct {
	entries []*entry
	exact   table
	folded  table // of the rules with Fold, for paths in small letters
	folds   bool  // there are such rules
}

// A table finds the last pattern that matches. Patterns without wildcards and patterns such as `*.o` are found in
// maps; only the other patterns cost time proportional to their number.
type table struct {
	names map[string]*entry // whole names, anywhere in the tree
	paths map[string]*entry // whole paths
	exts  map[string]*entry // ".o" for `*.o`
	globs []glob            // all others, in order
}

type entry struct {
	rule     Rule
	negated  bool
	dirOnly  bool
	position int    // in group.entries
	before   *entry // the one before it with the same text, where that is in a map; nil: none
	matched  atomic.Bool
}

type glob struct {
	pattern
	entry *entry
}

func (g *group) add(rule Rule, p pattern) {
	e := &entry{rule: rule, negated: p.negated, dirOnly: p.dirOnly, position: len(g.entries)}
	g.entries = append(g.entries, e)
	if rule.Fold {
		g.folds = true
		g.folded.add(e, p)
	} else {
		g.exact.add(e, p)
	}
}

func (t *table) add(e *entry, p pattern) {
	switch {
	case p.whole && p.nameOnly:
		put(&t.names, p.literal, e)
	case p.whole:
		put(&t.paths, p.literal, e)
	case p.isExtension():
		put(&t.exts, p.literal, e)
	default:
		t.globs = append(t.globs, glob{p, e})
	}
}

func put(m *map[string]*entry, key string, e *entry) {
	if *m == nil {
		*m = make(map[string]*entry)
	}
	e.before = (*m)[key]
	(*m)[key] = e
}

// match returns the entry that decides about path, or nil; name is the last component of path, and folded is path in
// small letters. It takes note of all patterns that match.
func (g *group) match(path, name, folded string, isDir bool) *entry {
	if len(g.entries) == 0 {
		return nil
	}
	found := g.exact.match(path, name, isDir, nil)
	if g.folds {
		found = g.folded.match(folded, folded[len(path)-len(name):], isDir, found)
	}
	return found
}

// match returns the later one of found and the last entry that matches.
func (t *table) match(path, name string, isDir bool, found *entry) *entry {
	found = t.names[name].found(isDir, found)
	found = t.paths[path].found(isDir, found)
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		found = t.exts[name[dot:]].found(isDir, found)
	}
	for i := len(t.globs) - 1; i >= 0; i-- {
		g := &t.globs[i]
		if !g.entry.isAfter(found) && g.entry.matched.Load() { // it would tell nothing new
			continue
		}
		if g.match(path, name, isDir) {
			found = g.entry.found(isDir, found)
		}
	}
	return found
}

// found takes note that e and those before it match, where they are about entries of the kind, and returns the later
// one of other and these. e can be nil.
func (e *entry) found(isDir bool, other *entry) *entry {
	for ; e != nil; e = e.before {
		if e.dirOnly && !isDir {
			continue
		}
		if !e.matched.Load() {
			e.matched.Store(true)
		}
		if e.isAfter(other) {
			other = e
		}
	}
	return other
}

func (e *entry) isAfter(other *entry) bool { return other == nil || e.position > other.position }
