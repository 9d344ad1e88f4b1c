package exclude

import "strings"

type opKind uint8

const (
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
// nothing. nameOnly patterns see no slash, so `**` is the same as `*` in them.
func compile(text string, nameOnly bool) (ops []op, fault string) {
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			ops = append(ops, op{kind: opLiteral, literal: string(literal)})
			literal = literal[:0]
		}
	}
	for i := 0; i < len(text); {
		switch text[i] {
		default:
			literal = append(literal, text[i])
			i++
		case '\\':
			if i+1 == len(text) {
				return nil, "it ends in a single backslash"
			}
			literal = append(literal, text[i+1])
			i += 2
		case '?':
			flush()
			ops = append(ops, op{kind: opAny})
			i++
		case '[':
			flush()
			set, n, fault := parseSet(text[i:])
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
	var (
		k, i         int
		starK, starI = -1, 0 // where to continue after the last `*` took one byte more
		deepK, deepI = -1, 0 // the same for the last `**`
	)
	for {
		ok := false
		if k == len(ops) {
			if i == len(text) {
				return true
			}
		} else {
			switch o := &ops[k]; o.kind {
			case opLiteral:
				ok = strings.HasPrefix(text[i:], o.literal)
				i += len(o.literal)
			case opAny:
				ok = i < len(text) && text[i] != '/'
				i++
			case opSet:
				ok = i < len(text) && o.set.has(text[i])
				i++
			case opStar:
				if k+1 == len(ops) && strings.IndexByte(text[i:], '/') < 0 {
					return true
				}
				starK, starI = k+1, i
				ok = true
			case opDirs, opTree:
				if o.kind == opTree && k+1 == len(ops) {
					return true
				}
				deepK, deepI = k+1, i
				starK = -1
				ok = true
			}
		}
		if ok {
			k++
			continue
		}
		if starK >= 0 && starI < len(text) && text[starI] != '/' {
			starI++
			k, i = starK, starI
			continue
		}
		if deepK < 0 {
			return false
		}
		slash := strings.IndexByte(text[deepI:], '/')
		if slash < 0 {
			return false
		}
		deepI += slash + 1
		k, i = deepK, deepI
		if ops[deepK-1].kind == opTree {
			// Here the following ops begin with the slash and match it.
			i--
		}
	}
}
