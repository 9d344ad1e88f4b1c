package exclude

import "strings"

// A byteSet is the set of bytes that a bracket expression matches.
type byteSet [4]uint64

func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }
func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }

func (s *byteSet) addRange(low, high byte) {
	for c := int(low); c <= int(high); c++ {
		s.add(byte(c))
	}
}

const notClosed = "a '[' is not closed"

// fold adds the small letter of each capital letter.
func (s *byteSet) fold() {
	for c := byte('A'); c <= 'Z'; c++ {
		if s.has(c) {
			s.add(lowerByte(c))
		}
	}
}

// parseSet reads the bracket expression at the start of text and returns its length. With fold the set is for text in
// small letters. It follows git where POSIX leaves
// room: '^' negates like '!', a backslash escapes, "[:" without ":]" is two ordinary bytes, a range that runs
// backwards contains its first byte only, and no expression, negated or not, matches '/'.
func parseSet(text string, fold bool) (set *byteSet, n int, fault string) {
	r := setReader{text: text, at: 1, low: -1}
	negated := r.at < len(text) && (text[r.at] == '!' || text[r.at] == '^')
	if negated {
		r.at++
	}
	for start := r.at; r.at == start || r.at == len(text) || text[r.at] != ']'; {
		if fault := r.element(); fault != "" {
			return nil, 0, fault
		}
	}
	if fold {
		r.set.fold()
	}
	if negated {
		for w := range r.set {
			r.set[w] = ^r.set[w]
		}
	}
	r.set['/'>>6] &^= 1 << ('/' & 63)
	return &r.set, r.at + 1, ""
}

// setReader reads the elements of a bracket expression.
type setReader struct {
	text string
	at   int
	set  byteSet
	low  int // beginning of the range if a '-' comes next; -1 if that '-' would be an ordinary byte
}

func (r *setReader) element() (fault string) {
	rest := r.text[r.at:]
	switch {
	case rest == "":
		return notClosed
	case rest[0] == '-' && r.low >= 0 && len(rest) > 1 && rest[1] != ']':
		return r.rangeTo(rest[1:])
	case strings.HasPrefix(rest, "[:"):
		return r.class(rest)
	}
	return r.single(rest)
}

func (r *setReader) single(rest string) (fault string) {
	c, width := unescape(rest)
	if width == 0 {
		return notClosed
	}
	r.set.add(c)
	r.low = int(c)
	r.at += width
	return ""
}

func (r *setReader) rangeTo(rest string) (fault string) {
	high, width := unescape(rest)
	if width == 0 {
		return notClosed
	}
	r.set.addRange(byte(r.low), high)
	r.low = -1
	r.at += len("-") + width
	return ""
}

func (r *setReader) class(rest string) (fault string) {
	name, _, closed := strings.Cut(rest[len("[:"):], "]")
	if !closed {
		return notClosed
	}
	class, isClass := strings.CutSuffix(name, ":")
	if !isClass {
		return r.single(rest)
	}
	if !r.set.addClass(class) {
		return "[:" + class + ":] is not a character class"
	}
	r.low = -1
	r.at += len("[:") + len(name) + len("]")
	return ""
}

// unescape returns the first byte of text, or the byte that a backslash there escapes, and the number of bytes read; 0
// if nothing follows the backslash.
func unescape(text string) (c byte, width int) {
	if text[0] != '\\' {
		return text[0], 1
	}
	if len(text) == 1 {
		return 0, 0
	}
	return text[1], 2
}

// addClass adds a POSIX class as git defines it: ASCII only, in every locale. White space is without vertical tab and
// form feed.
func (s *byteSet) addClass(name string) (known bool) {
	switch name {
	case "alnum":
		s.addClass("alpha")
		s.addClass("digit")
	case "alpha":
		s.addClass("upper")
		s.addClass("lower")
	case "blank":
		s.add(' ')
		s.add('\t')
	case "cntrl":
		s.addRange(0, 0x1F)
		s.add(0x7F)
	case "digit":
		s.addRange('0', '9')
	case "graph":
		s.addRange('!', '~')
	case "lower":
		s.addRange('a', 'z')
	case "print":
		s.addRange(' ', '~')
	case "punct":
		s.addRange('!', '/')
		s.addRange(':', '@')
		s.addRange('[', '`')
		s.addRange('{', '~')
	case "space":
		s.add(' ')
		s.add('\t')
		s.add('\n')
		s.add('\r')
	case "upper":
		s.addRange('A', 'Z')
	case "xdigit":
		s.addClass("digit")
		s.addRange('a', 'f')
		s.addRange('A', 'F')
	default:
		return false
	}
	return true
}
