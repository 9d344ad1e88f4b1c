package exclude

import (
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reference matches ops by trying every possibility, each pair of positions once. It shares the meaning of the ops with
// match, but not the claim that going back to the last star is enough.
func reference(ops []op, text string) bool {
	type state struct{ k, i int }
	seen := map[state]bool{}
	var try func(k, i int) bool
	try = func(k, i int) bool {
		if k == len(ops) {
			return i == len(text)
		}
		if seen[state{k, i}] {
			return false
		}
		seen[state{k, i}] = true
		switch o := ops[k]; o.kind {
		case opLiteral:
			return strings.HasPrefix(text[i:], o.literal) && try(k+1, i+len(o.literal))
		case opAny:
			return i < len(text) && text[i] != '/' && try(k+1, i+1)
		case opSet:
			return i < len(text) && o.set.has(text[i]) && try(k+1, i+1)
		case opStar:
			return try(k+1, i) || i < len(text) && text[i] != '/' && try(k, i+1)
		case opTree:
			return try(k+1, i) || i < len(text) && try(k, i+1)
		case opDirs:
			if try(k+1, i) {
				return true
			}
			for j := i; j < len(text); j++ {
				if text[j] == '/' && try(k+1, j+1) {
					return true
				}
			}
		}
		return false
	}
	return try(0, 0)
}

// isWalkPath reports whether a walk could hand path to Match.
func isWalkPath(p string) bool {
	return p != "" && p != "." && p != ".." && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "../") &&
		path.Clean(p) == p && !strings.Contains(p, "\x00")
}

// asciiLower lets Unicode alone, unlike strings.ToLower.
func asciiLower(s string) string {
	for c := 'A'; c <= 'Z'; c++ {
		s = strings.ReplaceAll(s, string(c), strings.ToLower(string(c)))
	}
	return s
}

// checkAgainstReference compares the whole decision with one made without maps, quick tests or the order they impose,
// and adds the rules that match to matched.
func checkAgainstReference(t interface{ Fatalf(string, ...any) }, m *Matcher, name string, isDir bool, matched map[*Rule]bool) {
	var want *Rule
	for _, g := range []*group{&m.single, &m.files} {
		for i := len(g.entries) - 1; i >= 0; i-- {
			p, fault := parse(g.entries[i].rule.Pattern, g.entries[i].rule.Fold)
			if fault != "" {
				t.Fatalf("%s was added although %s", &g.entries[i].rule, fault)
			}
			text := name
			if g.entries[i].rule.Fold {
				text = asciiLower(name)
			}
			if p.nameOnly {
				text = path.Base(text)
			}
			if (isDir || !p.dirOnly) && reference(p.ops, text) {
				matched[&g.entries[i].rule] = true
				if want == nil {
					want = &g.entries[i].rule
				}
			}
		}
	}
	got, excluded := m.Match(name, isDir)
	if got != want || excluded != (want != nil && !strings.HasPrefix(want.Pattern, "!")) {
		t.Fatalf("path %q (dir %v): %v by %v, want %v", name, isDir, excluded, got, want)
	}
}

func TestLikeReference(t *testing.T) {
	atoms := []string{
		"a", "a", "b", ".", "?", "*", "*", "**/", "/**", "/**/", "/", `**\/`, "[ab]", "[!a]", "!", ".o", "\n", "\n", "*.o\n",
		"A", "[!A]", "*.O\n",
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom(atoms), 1, 25).Draw(t, "lines")
		parts := rapid.SliceOfN(rapid.SampledFrom(atoms), 0, 3).Draw(t, "single")
		single := strings.ReplaceAll(strings.Join(parts, ""), "\n", "")
		m := New()
		if err := m.AddRule(Rule{Pattern: single, Source: "single", Fold: rapid.Bool().Draw(t, "fold single")}); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.Join(lines, ""), "\n") { // in turn, so that both kinds are mixed
			if err := m.AddFile("f", strings.NewReader(line), i&1 > 0); err != nil {
				t.Fatal(err)
			}
		}
		name := rapid.StringOfN(rapid.SampledFrom([]rune("aaAbbB..oO///")), 1, 20, -1).Filter(isWalkPath)
		matched := make(map[*Rule]bool)
		for range 100 {
			checkAgainstReference(t, m, name.Draw(t, "path"), rapid.Bool().Draw(t, "dir"), matched)
		}
		if all, unmatched := len(m.Rules()), len(m.Unmatched()); all-unmatched != len(matched) {
			t.Fatalf("%d rules, of which %d match; unmatched %v", all, len(matched), m.Unmatched())
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, tt := range patternTests {
		for _, name := range strings.Fields(tt.in + " " + tt.out) {
			f.Add(tt.pattern, strings.TrimSuffix(name, "/"), strings.HasSuffix(name, "/"), false)
			f.Add(strings.ToUpper(tt.pattern), strings.TrimSuffix(name, "/"), strings.HasSuffix(name, "/"), true)
		}
	}
	f.Add(manyPatterns, "srv/a/b/sessions/x", false, false)
	f.Add("\xEF\xBB\xBFa\r\n!b \n#c\n\\#d\n", "b", false, false)
	f.Add(strings.Repeat("**/*a*a/", 50), strings.Repeat("aaaa/", 100)+"b", true, true)
	f.Fuzz(func(t *testing.T, patterns, name string, isDir, fold bool) {
		if len(patterns) > 4096 || len(name) > 4096 {
			return
		}
		start := time.Now()
		m := fromFile(t, patterns, fold)
		rule, excluded := m.Match(name, isDir)
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("took %v", took)
		}
		if excluded && rule == nil {
			t.Fatal("excluded without a rule")
		}
		if len(patterns) < 300 && len(name) < 100 && isWalkPath(name) {
			checkAgainstReference(t, m, name, isDir, map[*Rule]bool{})
		}
	})
}
