package exclude

import "strings"

// Misplaced is a rule whose pattern begins with the path of the root itself. It can match only if the tree repeats
// those names below its root.
type Misplaced struct {
	Rule  Rule
	Right string // the pattern without that beginning; "" if nothing is left
}

// Misplaced finds the rules whose patterns begin with path, the path of the root of the walk. Patterns are always
// relative to the root, but people write paths as they know them from elsewhere. If path begins with '/', only
// patterns that begin with '/' are looked at.
func (m *Matcher) Misplaced(path string) (list []Misplaced) {
	names := strings.Split(strings.Trim(path, "/"), "/")
	if names[0] == "" {
		return nil
	}
	for _, g := range []*group{&m.single, &m.files} {
		for _, e := range g.entries {
			pattern, negated := strings.CutPrefix(e.rule.Pattern, "!")
			if strings.HasPrefix(path, "/") && !strings.HasPrefix(pattern, "/") {
				continue
			}
			rest, ok := without(pattern, names, e.rule.Fold)
			if !ok {
				continue
			}
			if negated && rest != "" {
				rest = "!" + rest
			}
			list = append(list, Misplaced{Rule: e.rule, Right: rest})
		}
	}
	return list
}

// without removes names from the beginning of a pattern, if its first elements are these names, without wildcards,
// which could match other names as well. A pattern of one element without a slash before it is about names in any
// folder, not about paths.
func without(pattern string, names []string, fold bool) (rest string, ok bool) {
	if !strings.Contains(strings.TrimSuffix(pattern, "/"), "/") {
		return "", false
	}
	elements := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	if len(elements) < len(names) {
		return "", false
	}
	for i, name := range names {
		element := elements[i]
		if fold {
			name, element = lower(name), lower(element)
		}
		if escape(name) != element && name != element {
			return "", false
		}
	}
	rest = strings.Join(elements[len(names):], "/")
	if rest == "" {
		return "", true
	}
	return "/" + rest, true
}

// escape turns a name into the pattern that matches this name alone.
var escape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace
