package archive

import (
	"slices"
	"testing"
)

// Guards: what looks wrong is noticed, and ordinary nights are not.
func TestTripwires(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cover *Coverage
		files uint64
		want  []Tripwire
	}{
		"first run":           {nil, 1000, nil},
		"first run, empty":    {nil, 0, nil},
		"nothing changed":     {&Coverage{Files: 1000}, 1000, nil},
		"half deleted":        {&Coverage{Files: 1000, Deleted: 500}, 500, nil},
		"more than half":      {&Coverage{Files: 1000, Deleted: 501}, 499, []Tripwire{MassDeletion}},
		"all replaced":        {&Coverage{Files: 1000, Deleted: 1000}, 1000, []Tripwire{MassDeletion}},
		"few files":           {&Coverage{Files: 99, Deleted: 90}, 9, nil},
		"few, none left":      {&Coverage{Files: 1, Deleted: 1}, 0, []Tripwire{EmptySource}},
		"none left":           {&Coverage{Files: 1000, Deleted: 1000}, 0, []Tripwire{EmptySource}},
		"most changed":        {&Coverage{Files: 100, Changed: 51}, 100, []Tripwire{MassChange}},
		"deleted and changed": {&Coverage{Files: 100, Deleted: 51, Changed: 49}, 49, []Tripwire{MassDeletion}},
		"most left out":       {&Coverage{Files: 1000, LeftOut: 501}, 499, []Tripwire{MassExclusion}},
		"both together":       {&Coverage{Files: 1000, Deleted: 300, LeftOut: 201}, 499, []Tripwire{MassDeletion}},
		"few, all left out":   {&Coverage{Files: 3, LeftOut: 3}, 0, []Tripwire{MassExclusion}},
		"most unread":         {&Coverage{Files: 1000, Unread: 900}, 100, nil},
		"most of what was read is gone": {&Coverage{Files: 1000, Unread: 400, Deleted: 301}, 299,
			[]Tripwire{MassDeletion}},
		"a part of it": {&Coverage{Source: "/home", Files: 2, LeftOut: 1}, 1, []Tripwire{SourceInside}},
	} {
		if got := Tripwires(c.cover, c.files); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Guards: a source is only found inside another one where it lies below it, element by element.
func TestPathBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		above, below, want string
		ok                 bool
	}{
		{"/home", "/home/ada", "ada", true},
		{"/", "/home/ada", "home/ada", true},
		{"/home", "/home", "", false},
		{"/home", "/homes/ada", "", false},
		{"/home/ada", "/home", "", false},
	} {
		if got, ok := pathBelow(c.above, c.below); ok != c.ok || ok && got != c.want {
			t.Errorf("%s below %s: %q, %v", c.below, c.above, got, ok)
		}
	}
}
