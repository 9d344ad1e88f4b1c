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

// parseSet reads the bracket expression at the start of text and returns its length. It follows git where POSIX leaves
// room: '^' negates like '!', a backslash escapes, "[:" without ":]" is two ordinary bytes, a range that runs
// backwards contains its first byte only, and no expression, negated or not, matches '/'.
func parseSet(text string) (set *byteSet, n int, fault string) {
	set = new(byteSet)
	i := 1
	negated := i < len(text) && (text[i] == '!' || text[i] == '^')
	if negated {
		i++
	}
	start := i
	low := -1 // beginning of the range if a '-' comes next; -1 if that '-' would be an ordinary byte
	for {
		if i >= len(text) {
			return nil, 0, notClosed
		}
		c := text[i]
		switch {
		case c == ']' && i > start:
			if negated {
				for w := range set {
					set[w] = ^set[w]
				}
			}
			set['/'>>6] &^= 1 << ('/' & 63)
			return set, i + 1, ""
		case c == '-' && low >= 0 && i+1 < len(text) && text[i+1] != ']':
			high, width := unescape(text[i+1:])
			if width == 0 {
				return nil, 0, notClosed
			}
			set.addRange(byte(low), high)
			low = -1
			i += 1 + width
		case c == '[' && strings.HasPrefix(text[i+1:], ":"):
			name, _, closed := strings.Cut(text[i+2:], "]")
			if !closed {
				return nil, 0, notClosed
			}
			class, isClass := strings.CutSuffix(name, ":")
			if !isClass {
				set.add('[')
				low = '['
				i++
				continue
			}
			if !set.addClass(class) {
				return nil, 0, "[:" + class + ":] is not a character class"
			}
			low = -1
			i += len("[:") + len(name) + len("]")
		default:
			c, width := unescape(text[i:])
			if width == 0 {
				return nil, 0, notClosed
			}
			set.add(c)
			low = int(c)
			i += width
		}
	}
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
