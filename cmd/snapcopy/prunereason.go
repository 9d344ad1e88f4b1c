package main

import (
	"cmp"
	"fmt"
	"strings"

	"snapcopy/prune"
)

// keepWords has the words for each kind of reason without further values.
var keepWords = map[prune.Kind]string{
	prune.InFuture:         "in the future",
	prune.NewestIncomplete: "incomplete, and no newer one is complete",
	prune.NewestHollow:     "lacks most of what older ones have, and no newer one is good",
	prune.Suspect:          "looks wrong, and that is not acknowledged",
	prune.NoRule:           "no rule is given",
	prune.Unwanted:         "no rule wants it",
	prune.Incomplete:       "incomplete, and a newer one is complete",
	prune.Hollow:           "lacks most of what others have, and a newer one is good",
	prune.Everything:       "the policy keeps nothing",
}

// reasonTexts returns the words for the reasons to keep or remove a snapshot.
func reasonTexts(snapshot string, list []prune.Reason, f *prune.Facts) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = reasonText(snapshot, r, f)
	}
	return strings.Join(texts, "; ")
}

// reasonText returns the words for a reason of a snapshot: "daily 3 of 7", "weekly 2 of 5, oldest", "pinned: before the upgrade".
func reasonText(snapshot string, r prune.Reason, f *prune.Facts) string {
	if words, ok := keepWords[r.Kind]; ok {
		return words
	}
	switch r.Kind {
	case prune.Pinned:
		if r.Label == "" {
			return "pinned"
		}
		return printable("pinned: " + r.Label)
	case prune.Needed:
		return neededText(snapshot, f)
	case prune.Unusable:
		return "what it holds is not known: " + stateText(&snapshotLine{State: stateOf(f.Unknown[snapshot])})
	case prune.Thinned:
		return "to make room; otherwise " + reasonTexts(snapshot, r.Otherwise, f)
	}
	return ruleText(r)
}

// neededText names the reader that needs a snapshot.
func neededText(snapshot string, f *prune.Facts) string {
	reader := f.NeededBy[snapshot]
	if reader.Damage != nil {
		return "needed, as a note says that cannot be read: " + name(reader.Path)
	}
	return "needed by " + name(cmp.Or(string(reader.PlaceRaw), reader.Place)) + " on " + name(reader.Host)
}

// ruleText names the rule that keeps a snapshot.
func ruleText(r prune.Reason) string {
	text := string(r.Kind)
	switch {
	case !r.Within.IsZero():
		text += " " + r.Within.String()
	case r.Of == prune.Unlimited:
		text += fmt.Sprintf(" %d, no limit", r.Number)
	default:
		text += fmt.Sprintf(" %d of %d", r.Number, r.Of)
	}
	if r.Oldest {
		text += ", oldest"
	}
	return text
}
