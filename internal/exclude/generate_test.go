package exclude

import (
	"math/rand/v2"
	"regexp"
	"strings"
)

// A generator makes nasty patterns and trees to try them on. The alphabet is small, so that patterns and paths meet.
type generator struct {
	*rand.Rand
	fold bool // patterns are for core.ignoreCase
}

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// name returns a name; with fold, its letters are small or capital.
func (g generator) name() string {
	if g.fold {
		return g.mix(g.nameOfSmall())
	}
	return g.nameOfSmall()
}

// mix makes some letters of text capitals.
func (g generator) mix(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && g.IntN(3) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func (g generator) nameOfSmall() string {
	if g.IntN(4) > 0 {
		return pick(g, "a", "b", "foo", "bar", "foobar", "a.o", "b.c", "ab", "aab", ".x", "foo.tar.gz")
	}
	if g.IntN(3) > 0 {
		return pick(g, "a b", "a ", " a", "#a", "!a", `a\`, `\a`, "[a]", "a]", "*", "?", "**", "-", "^", "a-b", "é",
			"\xff", "a\xfe",
			"a\r", "a\tb", "a\nb", "A", "1", "x1", "~", "foo ", ":", "[", "]", "a:b", "!", "#", `\`, "{a,b}", "$", "ￃ")
	}
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(pick(g, "a", "b", "o", ".", "-", "1", " ", "é", "\xff", "]", "[", "!", "*", "A"))
	}
	if name := b.String(); name != "." && name != ".." {
		return name
	}
	return "a"
}

func (g generator) path() string {
	names := make([]string, 1+g.IntN(4))
	for i := range names {
		names[i] = g.name()
	}
	return strings.Join(names, "/")
}

func (g generator) atom() string {
	return pick(g, "a", "b", "o", "f", ".", "?", "*", "**", "/", "/**", "**/", "/**/", "/*/", "***", `\`, `\*`, `\a`,
		`\/`, `\\`, "[", "]", "!", "^", "-", "#", " ", `\ `, "\r", "\t", "é", "\xff", "foo", "bar", "*.o", g.set(), g.set())
}

func (g generator) set() string {
	if g.IntN(4) == 0 {
		return pick(g, "[]-a]", "[]]", "[!]]", "[^]-]", "[--0]", "[a-]", "[!-]", "[[:space:]]", "[[:alpha:]]", "[![:alpha:]]",
			"[[:foo:]]", "[[:]", "[[::]]", "[[:a]", "[[:digit:]-z]", "[a-[:digit:]]", `[\]]`, `[\a-\c]`, `[a-\]`,
			"[", "[!", "[a", "[]", "[/]", "[a/]", "[.-0]", "[\x80-\xff]",
			"[!a]", "[z-a]", "[a-c-e]", "[**]", "[?]", "[!!]", "[^^]", "[^!]", "[a^b]", "[ ]")
	}
	var b strings.Builder
	b.WriteString(pick(g, "[", "[", "[!", "[^"))
	for range 1 + g.IntN(4) {
		b.WriteString(pick(g, "a", "b", "o", "-", "-", "!", "^", "]", "[", `\`, ":", ".", "/", "1", "A", "é", "\xff",
			"[:alpha:]", "[:punct:]", "[:space:]", "[:upper:]", "[:alnum:]", "[:", ":]", "a-z", "0-9", "A-Z", "A-z", "Z-b"))
	}
	b.WriteString(pick(g, "]", "]", "]", "]", ""))
	return b.String()
}

// near turns a path into a pattern that is likely to match it or one like it.
func (g generator) near(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if g.IntN(4) > 0 {
			b.WriteByte(path[i])
			continue
		}
		switch g.IntN(12) {
		case 0:
			b.WriteString("?")
		case 1, 2:
			b.WriteString("*")
			i += g.IntN(3)
		case 3:
			b.WriteString("**")
			i += g.IntN(4)
		case 4:
			b.WriteString("/**/")
			i += g.IntN(6)
		case 5:
			b.WriteString("[" + path[i:i+1] + "]")
		case 6:
			b.WriteString("[!" + path[i:i+1] + "]")
		case 7:
			b.WriteString(g.set())
		case 8:
			b.WriteString(`\` + path[i:i+1])
		case 9:
			b.WriteString("*/")
			if slash := strings.IndexByte(path[i:], '/'); slash >= 0 {
				i += slash
			}
		case 10:
			b.WriteString(path[i:i+1] + "*")
		case 11:
			b.WriteString(g.atom())
		}
	}
	pattern := b.String()
	if g.IntN(3) == 0 {
		pattern = pick(g, "/", "**/", "/**/", "*/", "**", "*", "***/") + pattern
	}
	if g.IntN(3) == 0 {
		pattern += pick(g, "/", "/**", "/*", "**", "*", "/**/", "/*/", "//", `\`)
	}
	return pattern
}

// pattern returns one line for a tree with these paths; it may be blank, a comment, or end in spaces or a CR. With fold
// it has only capitals of which git knows that they are equal to small letters.
func (g generator) pattern(paths []string) string {
	if !g.fold {
		return g.patternFor(paths)
	}
	text := g.patternFor(paths)
	plain := text[:strings.IndexAny(text+"[", `[\`)]
	rest := asciiLower(text[len(plain):])
	for _, r := range []string{"A-Z", "A-z", "Z-b"} {
		rest = regexp.MustCompile(`([^-\\])`+asciiLower(r)).ReplaceAllString(rest, "${1}"+r)
	}
	return g.mix(plain) + rest
}

func (g generator) patternFor(paths []string) string {
	path := paths[g.IntN(len(paths))]
	var p string
	switch g.IntN(8) {
	case 0:
		for range 1 + g.IntN(6) {
			p += g.atom()
		}
	case 1:
		names := strings.Split(path, "/")
		p = names[g.IntN(len(names))]
	case 2:
		p = path
	case 3, 4:
		names := strings.Split(path, "/")
		p = g.near(names[g.IntN(len(names))])
	default:
		p = g.near(path)
	}
	switch g.IntN(5) {
	case 0:
		p = "!" + p
	case 1:
		p = pick(g, "#", `\#`, `\!`, "!!", "!/", "!", " ", `\`, "\xEF\xBB\xBF", "/") + p
	}
	if g.IntN(5) == 0 {
		p += pick(g, " ", "  ", `\ `, `\  `, "\r", " \r", "\r ", "\r\r", "\t", `\`, "/", "/ ", "/\r", "\x00a", "#")
	}
	return strings.ReplaceAll(p, "\n", "?")
}

// tree returns up to n paths of a tree; those that end in '/' are directories. Parents of every path are among them.
func (g generator) tree(n int) []string {
	isDir := map[string]bool{}
	var order []string
	add := func(path string, dir bool) {
		if _, known := isDir[path]; !known {
			order = append(order, path)
		}
		isDir[path] = isDir[path] || dir
	}
	for len(order) < n {
		path := g.path()
		for i := range len(path) {
			if path[i] == '/' {
				add(path[:i], true)
			}
		}
		add(path, g.IntN(4) == 0)
	}
	for i, path := range order {
		if isDir[path] {
			order[i] = path + "/"
		}
	}
	return order
}
