package main

import (
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/calendar"
	"snapcopy/prune"
)

// Guards: each reason has its words, and they hold no control character of a label.
func TestReasonTexts(t *testing.T) {
	facts := &prune.Facts{NeededBy: map[string]archive.Reader{"a": {Place: "/srv", Host: "nas"}}}
	for _, c := range []struct {
		want string
		list []prune.Reason
	}{
		{"last 1 of 2; daily 3 of 7", []prune.Reason{{Kind: prune.Last, Number: 1, Of: 2}, {Kind: prune.Daily, Number: 3, Of: 7}}},
		{"weekly 2 of 5, oldest", []prune.Reason{{Kind: prune.Weekly, Number: 2, Of: 5, Oldest: true}}},
		{"yearly 4, no limit", []prune.Reason{{Kind: prune.Yearly, Number: 4, Of: prune.Unlimited}}},
		{"hourly within 1y6m", []prune.Reason{{Kind: prune.WithinHourly, Number: 4, Within: calendar.Span{Months: 18}}}},
		{"pinned", []prune.Reason{{Kind: prune.Pinned}}},
		{`pinned: before\x1b[1m`, []prune.Reason{{Kind: prune.Pinned, Label: "before\x1b[1m"}}},
		{"needed by /srv on nas", []prune.Reason{{Kind: prune.Needed}}},
		{"in the future", []prune.Reason{{Kind: prune.InFuture}}},
		{"incomplete, and no newer one is complete", []prune.Reason{{Kind: prune.NewestIncomplete}}},
		{"lacks most files of older snapshots, and no newer one is good", []prune.Reason{{Kind: prune.NewestHollow}}},
		{"looks wrong, and is not acknowledged", []prune.Reason{{Kind: prune.Suspect}}},
		{"no rule wants it", []prune.Reason{{Kind: prune.Unwanted}}},
		{"incomplete, and a newer one is complete", []prune.Reason{{Kind: prune.Incomplete}}},
		{"lacks most files of other snapshots, and a newer one is good", []prune.Reason{{Kind: prune.Hollow}}},
		{"the policy keeps nothing", []prune.Reason{{Kind: prune.Everything}}},
		{"to make room; otherwise no rule is given; pinned", []prune.Reason{{Kind: prune.Thinned,
			Otherwise: []prune.Reason{{Kind: prune.NoRule}, {Kind: prune.Pinned}}}}},
	} {
		if got := reasonTexts("a", c.list, facts); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
