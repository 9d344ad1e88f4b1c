package exclude

import "strings"

// A pattern is one parsed line. With whole set, the pattern is the plain string literal; otherwise it is ops, and
// every match begins with prefix and ends with literal, both of which may be empty.
type pattern struct {
	negated  bool // began with '!'
	dirOnly  bool // ended with '/'
	nameOnly bool // compared with the last component, not the whole path
	whole    bool
	prefix   string
	literal  string
	ops      []op
}

// parse compiles one pattern, with fold for paths in small letters. fault is the reason if it can match no path; git accepts such patterns and never matches
// them.
func parse(text string, fold bool) (p pattern, fault string) {
	text, p.negated = strings.CutPrefix(text, "!")
	text, p.dirOnly = strings.CutSuffix(text, "/")
	p.nameOnly = !strings.Contains(text, "/")
	// Only one slash anchors: a second one would have to match a slash at the beginning of the path.
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return p, "it names nothing"
	}
	if fault := impossibleComponent(text); fault != "" {
		return p, fault
	}
	if !p.nameOnly {
		text, p.nameOnly = cutAnyDepth(text)
	}
	p.ops, fault = compile(text, p.nameOnly, fold)
	if fault != "" {
		return p, fault
	}
	if first := p.ops[0]; first.kind == opLiteral {
		p.prefix = first.literal
	}
	if last := p.ops[len(p.ops)-1]; last.kind == opLiteral {
		p.literal = last.literal
		p.whole = len(p.ops) == 1
	}
	return p, ""
}

// impossibleComponent looks for path components that no path in a tree has. It leaves patterns with brackets or
// escapes alone, because a slash in them is not always a separator, and patterns with `**` after a literal beginning,
// because `**` can take a slash away.
func impossibleComponent(text string) (fault string) {
	literal := text[:strings.IndexAny(text+"*", "*?")]
	odd := literal != "" && !strings.HasSuffix(literal, "/") && strings.HasPrefix(text[len(literal):], "**")
	if odd || strings.ContainsAny(text, `[\`) {
		return ""
	}
	for component := range strings.SplitSeq(text, "/") {
		switch component {
		case "":
			return "no path has two slashes in a row"
		case ".", "..":
			return "no path has the component '" + component + "'; patterns are relative to the root of the tree"
		}
	}
	return ""
}

// cutAnyDepth removes the leading `**/` of patterns such as `**/name`, which mean the same as `name`.
func cutAnyDepth(text string) (rest string, nameOnly bool) {
	rest = text
	for strings.HasPrefix(rest, "**/") {
		rest = rest[len("**/"):]
	}
	if rest == "" || strings.Contains(rest, "/") {
		return text, false
	}
	return rest, len(rest) < len(text)
}

// isExtension reports whether the pattern is `*` and then a dot and text without a dot. A name matches it exactly if
// that dot and text are its end from its last dot on.
func (p *pattern) isExtension() bool {
	return p.nameOnly && len(p.ops) == 2 && p.ops[0].kind == opStar && p.literal != "" &&
		strings.LastIndexByte(p.literal, '.') == 0
}

func (p *pattern) match(path, name string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	text := path
	if p.nameOnly {
		text = name
	}
	return strings.HasPrefix(text, p.prefix) && strings.HasSuffix(text, p.literal) && match(p.ops, text)
}
