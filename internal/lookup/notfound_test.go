package lookup

import (
	"testing"

	"pgregory.net/rapid"
)

// TestChanges compares the count of changes with the textbook's recursion.
func TestChanges(t *testing.T) {
	var slow func(a, b string) int
	slow = func(a, b string) int {
		if a == "" || b == "" {
			return len(a) + len(b)
		}
		n := 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
		if a[0] == b[0] {
			n = min(n, slow(a[1:], b[1:]))
		}
		if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
			n = min(n, 1+slow(a[2:], b[2:]))
		}
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching("[abc]{0,6}")
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		limit := rapid.IntRange(0, 7).Draw(t, "limit")
		want := slow(a, b)
		if got := changes(a, b, limit); want <= limit && got != want || want > limit && got <= limit {
			t.Fatalf("%q to %q: %d, want %d (limit %d)", a, b, got, want, limit)
		}
	})
}
