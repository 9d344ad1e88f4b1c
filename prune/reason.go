package prune

import "snapcopy/internal/calendar"

// Kind is the kind of a reason to keep or remove a snapshot.
type Kind string

// The rules.
const (
	Last          Kind = "last"
	Hourly        Kind = "hourly"
	Daily         Kind = "daily"
	Weekly        Kind = "weekly"
	Monthly       Kind = "monthly"
	Yearly        Kind = "yearly"
	Within        Kind = "within"
	WithinHourly  Kind = "hourly within"
	WithinDaily   Kind = "daily within"
	WithinWeekly  Kind = "weekly within"
	WithinMonthly Kind = "monthly within"
	WithinYearly  Kind = "yearly within"
)

// The reasons to keep a snapshot besides the rules.
const (
	Pinned           Kind = "pinned"
	Needed           Kind = "needed"            // by a reader: see Facts.NeededBy
	Unusable         Kind = "unusable"          // its catalog is unusable: see Facts.Unknown
	InFuture         Kind = "in the future"     // its time is yet to come: a clock was wrong
	NewestIncomplete Kind = "newest incomplete" // no newer snapshot is complete
	NewestHollow     Kind = "newest hollow"     // it lacks entries of older snapshots, and no newer one is good
	Suspect          Kind = "suspect"           // it looks wrong, and nobody has acknowledged that
	NoRule           Kind = "no rule"           // the policy only thins out
)

// The reasons to remove a snapshot.
const (
	Unwanted   Kind = "unwanted"   // no rule wants it
	Incomplete Kind = "incomplete" // and a newer snapshot is complete
	Hollow     Kind = "hollow"     // it lacks entries of older snapshots, and a newer one is good
	Thinned    Kind = "thinned"    // to make room
	Everything Kind = "everything" // the policy is empty, which AllowRemoveAll permits
)

// Reason is the reason to keep or remove a snapshot.
type Reason struct {
	Kind      Kind
	Number    int           // of a rule: rank among the snapshots it keeps; 1 is the newest
	Of        Count         // of a rule with a count: the count
	Within    calendar.Span // of a rule with a span: the span
	Oldest    bool          // the rule keeps it as the oldest of all, not as the last of a period
	Label     string        // of Pinned: the label of the pin
	Otherwise []Reason      // of Thinned: the reasons to keep the snapshot if there were room
}
