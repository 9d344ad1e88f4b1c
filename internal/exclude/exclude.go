// Package exclude decides which entries of a tree to leave out, by the rules of gitignore(5).
//
// Guarantees: for a tree walked from the top, the outcome is the one git reaches with the same patterns. That covers
// `*`, `?`, `**`, anchoring, directory-only patterns, negation, bracket expressions with ranges and POSIX classes,
// escapes, comments, trailing spaces, CR LF line ends and a UTF-8 byte order mark. Patterns and paths are bytes, not
// text. A pattern that git silently never matches never matches here either; Warnings reports it.
//
// `**` right after a literal beginning, as in `foo**/bar`, also matches `foobar` and `foo/x/bar`. This differs from
// the text of gitignore(5) and follows git itself (compared with 2.39; a change of git has been discussed).
//
// Letter case counts, unless a rule has Fold set: then the letters A to Z and a to z are equal, as in git with
// core.ignoreCase. All other bytes count as they are.
//
// Differences from git, on purpose:
//   - Letter case is a property of each rule (git follows core.ignoreCase).
//   - With Fold, a capital letter is also equal to the small one after a backslash and by itself in brackets, as in
//     `\README` and `*.[JP]PG` (compared with 2.39, in which such letters match nothing).
//   - A pattern file of more than 100 MiB is an error (git ignores it since 2.45).
//
// Time: one Match costs at most (number of '/' in the path + 1) × len(path) × len(pattern) steps a pattern; there is
// no exponential case. It allocates nothing, except a copy of a path with capital letters if there are rules with Fold.
package exclude

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxFileSize is the size limit of pattern files; git has the same.
const maxFileSize = 100 << 20

// A Rule is one pattern and its origin.
type Rule struct {
	Pattern string // as written, with its '!' and '/', without trailing spaces that do not count
	Source  string // "--exclude", or the name of a pattern file
	Line    int    // line in that file, from 1; 0 for a pattern given by itself
	Fold    bool   // A to Z are equal to a to z
}

// String returns the rule as people know it from their command line and from compilers: `--exclude '*.o'` or
// `exclude.txt:3: *.o`. Patterns that are not printable text are quoted as Go strings.
func (r *Rule) String() string {
	pattern, printable := r.Pattern, isPrintable(r.Pattern)
	if !printable {
		pattern = strconv.Quote(pattern)
	}
	if r.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", r.Source, r.Line, pattern)
	}
	if printable {
		pattern = "'" + strings.ReplaceAll(pattern, "'", `'\''`) + "'"
	}
	return r.Source + " " + pattern
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// A Matcher has patterns in two groups with git's precedence: single patterns (Add) win over pattern files (AddFile);
// of several files the one added later wins; within a group or file the last pattern that matches decides.
//
// The zero value is ready to use and matches nothing. Any number of goroutines may call Match, Empty, Unmatched and
// Warnings at once, as long as none calls Add, AddFile or AddRule.
type Matcher struct {
	single   group
	files    group
	warnings []string
}

// New returns a Matcher without patterns.
func New() *Matcher { return new(Matcher) }

// Add appends one pattern to the group that wins over all files, as `git ls-files --exclude` does: the pattern is
// taken verbatim, so '#' starts no comment and trailing spaces count. An empty pattern matches nothing. source and
// line only describe the pattern; line is 0 if it has none. A pattern with a NUL byte, which no path contains, is an
// error.
func (m *Matcher) Add(pattern, source string, line int) error {
	return m.addTo(&m.single, Rule{Pattern: pattern, Source: source, Line: line})
}

// AddFile appends the patterns of one pattern file, one a line, as `git ls-files --exclude-from` does. Rules, warnings
// and errors mention name; fold is for all the rules. If reading fails, or the file is larger than 100 MiB, AddFile
// adds nothing.
func (m *Matcher) AddFile(name string, r io.Reader, fold bool) error {
	data, err := readAtMost(r, maxFileSize)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	text := string(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")))
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if pattern, ok := m.patternOfLine(line, name, number); ok {
			m.add(&m.files, Rule{Pattern: pattern, Source: name, Line: number, Fold: fold})
		}
	}
	return nil
}

// AddRule appends a rule, as Add does if it has no line, and otherwise to the group of the files.
func (m *Matcher) AddRule(r Rule) error {
	if r.Line > 0 {
		return m.addTo(&m.files, r)
	}
	return m.addTo(&m.single, r)
}

func (m *Matcher) addTo(g *group, r Rule) error {
	if strings.IndexByte(r.Pattern, 0) >= 0 {
		return fmt.Errorf("%s %q: pattern contains a NUL byte", r.Source, r.Pattern)
	}
	m.add(g, r)
	return nil
}

// Rules returns the rules that can match. AddRule, called with each in this order, makes an equal Matcher.
func (m *Matcher) Rules() []Rule {
	list := make([]Rule, 0, len(m.single.entries)+len(m.files.entries))
	for _, g := range []*group{&m.single, &m.files} {
		for _, e := range g.entries {
			list = append(list, e.rule)
		}
	}
	return list
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes, which no list of patterns is", limit)
	}
	return data, err
}

// patternOfLine returns the pattern on a line of a pattern file; ok is false for blank lines and comments. The order
// of the steps is git's and shows in lines such as "foo \r".
func (m *Matcher) patternOfLine(line, name string, number int) (pattern string, ok bool) {
	if strings.HasPrefix(line, "#") {
		return "", false
	}
	line = strings.TrimSuffix(line, "\r")
	if before, _, found := strings.Cut(line, "\x00"); found {
		m.warnings = append(m.warnings, fmt.Sprintf("%s:%d: pattern is cut off at a NUL byte", name, number))
		line = before
	}
	line = trimTrailingSpaces(line)
	return line, line != ""
}

// trimTrailingSpaces removes the spaces at the end of a line, but keeps a first one that a backslash escapes.
func trimTrailingSpaces(line string) string {
	trimmed := strings.TrimRight(line, " ")
	backslashes := len(trimmed) - len(strings.TrimRight(trimmed, `\`))
	if backslashes%2 == 1 && len(trimmed) < len(line) {
		return line[:len(trimmed)+1]
	}
	return trimmed
}

func (m *Matcher) add(g *group, rule Rule) {
	if rule.Pattern == "" {
		return
	}
	p, fault := parse(rule.Pattern, rule.Fold)
	if fault != "" {
		m.warnings = append(m.warnings, fmt.Sprintf("%s: never matches: %s", &rule, fault))
		return
	}
	g.add(rule, p)
}

// Empty reports whether no pattern can match any path, so that callers may skip Match.
func (m *Matcher) Empty() bool { return len(m.single.entries) == 0 && len(m.files.entries) == 0 }

// Unmatched returns the rules, in the order of Rules, that match no path that Match was asked about so far, whether or
// not another rule decided about it. A negated rule matches the paths of its pattern.
func (m *Matcher) Unmatched() (list []Rule) {
	for _, g := range []*group{&m.single, &m.files} {
		for _, e := range g.entries {
			if !e.matched.Load() {
				list = append(list, e.rule)
			}
		}
	}
	return list
}

// Warnings returns one sentence, in the order added, for each pattern that git accepts silently although it cannot
// match, or that was cut off at a NUL byte.
func (m *Matcher) Warnings() []string { return m.warnings }

// Match returns the rule that decides about path, and whether it excludes path; a rule that re-includes ('!') comes
// with false. The rule is nil if none matches. path is relative to the root of the walk, '/'-separated, without "." or
// "..", without '/' at either end; "" (the root) is never excluded.
//
// Match looks at path alone. As in git, nothing below an excluded directory can be re-included: a caller walks from
// the top and does not enter excluded directories. The rule must not be modified.
func (m *Matcher) Match(path string, isDir bool) (rule *Rule, excluded bool) {
	if path == "" {
		return nil, false
	}
	folded := path
	if m.single.folds || m.files.folds {
		folded = lower(path)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	e := m.single.match(path, name, folded, isDir)
	// Asked in any case, so that Unmatched knows of its patterns.
	if other := m.files.match(path, name, folded, isDir); e == nil {
		e = other
	}
	if e == nil {
		return nil, false
	}
	return &e.rule, !e.negated
}

// lower returns a path with its letters A to Z as small letters.
func lower(path string) string {
	for i := range len(path) {
		if lowerByte(path[i]) == path[i] {
			continue
		}
		b := []byte(path)
		for ; i < len(b); i++ {
			b[i] = lowerByte(b[i])
		}
		return string(b)
	}
	return path
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
