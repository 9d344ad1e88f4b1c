package prune

import (
	"fmt"
	"strings"

	"snapcopy/internal/calendar"
)

// The reasons to keep a snapshot besides the rules.
const (
	Pinned           Kind = "pinned"
	Held             Kind = "held"              // it must not go now
	InFuture         Kind = "in the future"     // its time is yet to come: a clock was wrong
	NewestIncomplete Kind = "newest incomplete" // no newer one is complete
	NewestHollow     Kind = "newest hollow"     // it lacks entries of older snapshots, and no newer one is good
	Suspect          Kind = "suspect"           // it looks wrong, and nobody has acknowledged that
	NoRule           Kind = "no rule"           // the policy only thins out
)

// The reasons to remove a snapshot.
const (
	Unwanted   Kind = "unwanted"   // no rule wants it
	Incomplete Kind = "incomplete" // and a newer one is complete
	Hollow     Kind = "hollow"     // it lacks entries of older snapshots, and a newer one is good
	Thinned    Kind = "thinned"    // to make room
	Everything Kind = "everything" // the policy is empty, which AllowRemoveAll permits
)

// Reason is the reason to keep or remove a snapshot.
type Reason struct {
	Kind   Kind
	Number int           // of a rule: rank among the snapshots it keeps; 1 is the newest
	Of     Count         // of a rule with a count: the count
	Within calendar.Span // of a rule that measures
	Oldest bool          // the rule keeps it as the oldest of all, not as the last of a period
	Text   string        // of Pinned, the label; of Held, the reason; of Thinned, the goal
}

// String returns the reason as people read it: "daily 3 of 7", "weekly 2 of 5, oldest", "pinned: before the upgrade".
func (r Reason) String() string {
	switch r.Kind {
	case Pinned:
		if r.Text == "" {
			return "pinned"
		}
		return "pinned: " + r.Text
	case Held:
		return r.Text
	case NewestIncomplete:
		return "incomplete, and no newer one is complete"
	case NewestHollow:
		return "lacks most of what older ones have, and no newer one is good"
	case Hollow:
		return "lacks most of what others have, and a newer one is good"
	case Suspect:
		return "looks wrong, and that is not acknowledged"
	case NoRule:
		return "no rule is given"
	case Unwanted:
		return "no rule wants it"
	case Incomplete:
		return "incomplete, and a newer one is complete"
	case Thinned:
		return "to make room; otherwise " + r.Text
	case Everything:
		return "the policy keeps nothing"
	case InFuture:
		return "in the future"
	}
	text := string(r.Kind)
	switch {
	case !r.Within.IsZero():
		text += " " + r.Within.String()
	case r.Of == Unlimited:
		text += fmt.Sprintf(" %d, no limit", r.Number)
	default:
		text += fmt.Sprintf(" %d of %d", r.Number, r.Of)
	}
	if r.Oldest {
		text += ", oldest"
	}
	return text
}

func reasonTexts(list []Reason) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = r.String()
	}
	return strings.Join(texts, "; ")
}
