package snapshot

import (
	"slices"
	"testing"

	"snapcopy/index"
)

// Guards: what looks wrong is noticed, and ordinary nights are not.
func TestTripwires(t *testing.T) {
	for name, c := range map[string]struct {
		counts index.Counts
		want   []Tripwire
	}{
		"first run":           {index.Counts{New: 1000, Files: 1000}, nil},
		"first run, empty":    {index.Counts{}, nil},
		"nothing changed":     {index.Counts{Unchanged: 1000, Files: 1000}, nil},
		"half deleted":        {index.Counts{Unchanged: 500, Deleted: 500, Files: 500}, nil},
		"more than half":      {index.Counts{Unchanged: 499, Deleted: 501, Files: 499}, []Tripwire{MassDeletion}},
		"all replaced":        {index.Counts{New: 1000, Deleted: 1000, Files: 1000}, []Tripwire{MassDeletion}},
		"all moved":           {index.Counts{Moved: 1000, Files: 1000}, nil},
		"few files":           {index.Counts{Unchanged: 9, Deleted: 90, Files: 9}, nil},
		"few, none left":      {index.Counts{Deleted: 1}, []Tripwire{EmptySource}},
		"none left":           {index.Counts{Deleted: 1000}, []Tripwire{EmptySource}},
		"most changed":        {index.Counts{Changed: 51, Unchanged: 49, Files: 100}, []Tripwire{MassChange}},
		"deleted and changed": {index.Counts{Deleted: 51, Changed: 49, Files: 49}, []Tripwire{MassDeletion}},
	} {
		if got := Tripwires(&c.counts); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
