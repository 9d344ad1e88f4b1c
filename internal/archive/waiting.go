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
// good snapshot. It costs a look at each report of the archive, and at the catalogs of these snapshots alone.
func (l *Lineage) Waiting(baseline string) (w *Waiting, err error) {
	isNewer := true
	for _, s := range l.NewestFirst {
		isNewer = isNewer && s.Name != baseline
		looksRight, err := l.Judge.looksRight(s)
		if err != nil {
			return nil, err
		}
		if looksRight {
			continue
		}
		st, usable, err := l.Judge.standing(s)
		if err != nil {
			return nil, err
		}
		if !usable || len(st.Tripwires) == 0 || !l.Follows(&st.Summary) {
			continue
		}
		if w == nil {
			w = &Waiting{Last: s.Name}
		}
		w.Count++
		w.First = s.Name
		if isNewer {
			w.Since = s.Name
		}
		for _, t := range st.Tripwires {
			if !slices.Contains(w.Tripwires, t) {
				w.Tripwires = append(w.Tripwires, t)
			}
		}
	}
	return w, nil
}

// looksRight reports whether the report of a snapshot's run says that it set off no tripwire. A run that recorded its
// limits recorded its tripwires as well.
func (j *Judge) looksRight(s Snapshot) (bool, error) {
	v, known, err := Reports{j.meta}.verdictOn(s.Name)
	return known && len(v.Tripwires) == 0 && (v.Limits != nil || v.Baseline != nil), err
}
