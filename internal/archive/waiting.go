package archive

import (
	"slices"
	"strings"
)

// The states of a snapshot whose catalog can be used. One whose run set off tripwires that nobody has acknowledged is
// suspect: see StateOf.
const (
	StateComplete   = "complete"
	StateIncomplete = "incomplete"
	stateSuspect    = "suspect: "
)

// StateOf names the state of a snapshot: "complete", "incomplete", or, with the tripwires that nobody has acknowledged,
// "suspect: empty source" or "suspect: mass deletion, mass change".
func StateOf(incomplete bool, tripwires []Tripwire) string {
	switch {
	case len(tripwires) > 0:
		names := make([]string, len(tripwires))
		for i, t := range tripwires {
			names[i] = string(t)
		}
		return stateSuspect + strings.Join(names, ", ")
	case incomplete:
		return StateIncomplete
	}
	return StateComplete
}

// Waiting sums up the snapshots of a source that wait to be acknowledged.
type Waiting struct {
	Count     uint64     `json:"count"`
	First     string     `json:"first"` // the oldest
	Last      string     `json:"last"`
	Tripwires []Tripwire `json:"tripwires"` // of any of them
	// Since is the oldest one newer than the last good snapshot: since then each run looked wrong. "": a good run
	// followed.
	Since string `json:"since,omitempty"`
}

// Waiting returns the snapshots of the source that wait to be acknowledged; nil: there is none. baseline is the last
// good snapshot. It looks at the reports of the archive, newest first, up to one that says that nothing waits.
func (l *Lineage) Waiting(baseline string) (w *Waiting, err error) {
	isNewer := true
	for _, s := range l.NewestFirst {
		isNewer = isNewer && s.Name != baseline
		v, _, err := Reports{l.Judge.meta}.verdictOn(s.Name)
		if err != nil {
			return nil, err
		}
		if v.looksRight() && !v.nothingWaits() {
			continue
		}
		st, usable, err := l.Judge.standing(s)
		if err != nil {
			return nil, err
		}
		switch {
		case !usable || !l.Follows(&st.Summary):
		case v.nothingWaits():
			return w, nil
		case len(st.Tripwires) > 0:
			w = w.with(&st, isNewer)
		}
	}
	return w, nil
}

// with adds an older snapshot.
func (w *Waiting) with(s *Standing, isSince bool) *Waiting {
	name := s.Snapshot.Name
	if w == nil {
		w = &Waiting{Last: name}
	}
	w.Count++
	w.First = name
	if isSince {
		w.Since = name
	}
	for _, t := range s.Tripwires {
		if !slices.Contains(w.Tripwires, t) {
			w.Tripwires = append(w.Tripwires, t)
		}
	}
	return w
}
