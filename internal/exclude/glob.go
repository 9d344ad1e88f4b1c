package exclude

import "strings"

type opKind uint8

const ( // those before opStar match a number of bytes that is known
	opLiteral opKind = iota // these bytes exactly
	opAny                   // one byte that is not '/'
	opSet                   // one byte of a set, never '/'
	opStar                  // any bytes but '/'
	opDirs                  // `**/`: nothing, or any bytes up to and including a '/'
	opTree                  // `**` before an escaped slash or at the end: any bytes
)

type op struct {
	kind    opKind
	literal string
	set     *byteSet
}

// compile turns a pattern without its '!', anchor and final '/' into ops. fault is the reason if the pattern can match
// nothing. nameOnly patterns see no slash, so `**` is the same as `*` in them. With fold the ops are for text in small
// letters.
func compile(text string, nameOnly, fold bool) (ops []op, fault string) {
	var literal []byte
	add := func(c byte) {
		if fold {
			c = lowerByte(c)
		}
		literal = append(literal, c)
	}
	flush := func() {
		if len(literal) > 0 {
			ops = append(ops, op{kind: opLiteral, literal: string(literal)})
			literal = literal[:0]
		}
	}
	for i := 0; i < len(text); {
		switch text[i] {
		default:
			add(text[i])
			i++
		case '\\':
			if i+1 == len(text) {
				return nil, "it ends in a single backslash"
			}
			add(text[i+1])
			i += 2
		case '?':
			flush()
			ops = append(ops, op{kind: opAny})
			i++
		case '[':
			flush()
			set, n, fault := parseSet(text[i:], fold)
			if fault != "" {
				return nil, fault
			}
			ops = append(ops, op{kind: opSet, set: set})
			i += n
		case '*':
			flush()
			kind, n := stars(text, i, nameOnly)
			ops = append(ops, op{kind: kind})
			i += n
		}
	}
	flush()
	return ops, ""
}

// stars classifies the run of '*' at text[i:] and returns its length in the pattern. Two or more are special only if
// they fill a path component; an escaped slash ends a component here, but does not join the `**/`. A run right after a
// literal beginning counts as the start of a component, since git compares that beginning by itself.
func stars(text string, i int, nameOnly bool) (kind opKind, n int) {
	rest := strings.TrimLeft(text[i:], "*")
	n = len(text) - i - len(rest)
	switch {
	case n == 1 || nameOnly || i > 0 && text[i-1] != '/' && strings.ContainsAny(text[:i], "*?[\\"):
		return opStar, n
	case strings.HasPrefix(rest, "/"):
		return opDirs, n + 1
	case rest == "" || strings.HasPrefix(rest, `\/`):
		return opTree, n
	}
	return opStar, n
}

// match reports whether ops match the whole text.
//
// It goes forward and, at a mismatch, back to the last `*`, which then takes one byte more; if that is impossible, to
// the last `**`, which then takes one path component more. Earlier stars need no second try: the ops between two `*`
// of one component, or between two `**`, are best matched as far left as possible, because that leaves the later star
// the most freedom; and between `*` in different components lies a '/' that pins the earlier one down. So the time is
// bounded by components × len(text) × len(ops) with no memory.
func match(ops []op, text string) bool {
	k, i := 0, 0
	star, deep := retry{op: -1}, retry{op: -1} // the last `*` and the last `**`
	for {
		if k == len(ops) {
			if i == len(text) {
				return true
			}
		} else {
			switch o := &ops[k]; o.kind {
			case opStar:
				if k++; k == len(ops) && strings.IndexByte(text[i:], '/') < 0 {
					return true
				}
				star = retry{k, i}
				continue
			case opDirs, opTree:
				if k++; k == len(ops) && o.kind == opTree {
					return true
				}
				star, deep = retry{op: -1}, retry{k, i}
				continue
			default:
				if n, ok := o.take(text[i:]); ok {
					k, i = k+1, i+n
					continue
				}
			}
		}
		switch {
		case star.nextByte(text):
			k, i = star.op, star.at
		case deep.nextComponent(text):
			k, i = deep.op, deep.at
			if ops[k-1].kind == opTree { // the following ops begin with the slash and match it
				i--
			}
		default:
			return false
		}
	}
}

// take matches a literal or a single byte at the beginning of text, and returns its length.
func (o *op) take(text string) (n int, ok bool) {
	if o.kind == opLiteral {
		return len(o.literal), strings.HasPrefix(text, o.literal)
	}
	return 1, text != "" && o.takes(text[0])
}

func (o *op) takes(c byte) bool {
	if o.kind == opAny {
		return c != '/'
	}
	return o.set.has(c)
}

// retry is where to continue when a star has taken more of the text: the op after it, and the place in the text. op is
// -1 if there is no star.
type retry struct{ op, at int }

// nextByte lets a `*` take one byte more.
func (r *retry) nextByte(text string) bool {
	if r.op < 0 || r.at == len(text) || text[r.at] == '/' {
		return false
	}
	r.at++
	return true
}

// nextComponent lets a `**` take one path component more.
func (r *retry) nextComponent(text string) bool {
	if r.op < 0 {
		return false
	}
	slash := strings.IndexByte(text[r.at:], '/')
	r.at += slash + 1
	return slash >= 0
}
