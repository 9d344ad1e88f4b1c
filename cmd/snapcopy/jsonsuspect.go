package main

import "snapcopy/internal/archive"

// acknowledgedLine is a snapshot that acknowledge accepts, or would accept.
type acknowledgedLine struct {
	Snapshot  string             `json:"snapshot"`
	State     string             `json:"state"` // before
	Source    string             `json:"source"`
	Tripwires []archive.Tripwire `json:"tripwires"`
	Baseline  *archive.Coverage  `json:"baseline,omitempty"`
	Place     *archive.Place     `json:"source_place,omitempty"`
	PlaceWas  *archive.Place     `json:"source_place_was,omitempty"`
	DryRun    bool               `json:"dry_run,omitempty"`
}

func acknowledgedJSON(t *archive.Tripped, dryRun bool) *acknowledgedLine {
	v := &acknowledgedLine{Snapshot: t.Snapshot, State: archive.StateOf(false, t.Tripwires), Source: t.Source, Tripwires: t.Tripwires,
		DryRun: dryRun}
	if t.Coverage.Snapshot != "" {
		v.Baseline = &t.Coverage
	}
	v.Place, v.PlaceWas = t.Place.Is, t.Place.Was
	return v
}

// prunableLine has the snapshots that pruning may remove by its rules once all runs are acknowledged.
type prunableLine struct {
	Archive   string  `json:"archive"`
	Snapshots uint64  `json:"snapshots"`
	First     string  `json:"first,omitempty"`
	Last      string  `json:"last,omitempty"`
	Freed     *uint64 `json:"freed_bytes,omitempty"` // by removing all of them; none: not known
	DryRun    bool    `json:"dry_run"`
}
