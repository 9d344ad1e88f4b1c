package main

import (
	"time"

	"snapcopy/internal/archive"
)

// statusObject is how an archive is.
type statusObject struct {
	Archive     string           `json:"archive"`
	Status      int              `json:"status"` // the exit status
	Snapshots   int              `json:"snapshots"`
	Sources     []sourceStatus   `json:"sources"`
	TooOld      bool             `json:"too_old"` // with --max-age
	Waiting     []waitingObject  `json:"waiting,omitempty"`
	Unusable    []unusableObject `json:"unusable,omitempty"`
	DamageKnown uint64           `json:"damage_known"`
	Oldest      *time.Time       `json:"oldest_unverified,omitempty"`
	Dates       *datesObject     `json:"dates,omitempty"`
	Unchecked   int              `json:"snapshots_since_check"`
	Free        *uint64          `json:"free_bytes,omitempty"`
	Total       *uint64          `json:"total_bytes,omitempty"`
	FreeInodes  uint64           `json:"free_inodes,omitempty"`
	TotalInodes uint64           `json:"total_inodes,omitempty"`
	ReadOnly    bool             `json:"read_only,omitempty"`
}

// sourceStatus is the latest snapshot of a source, and the runs since then.
type sourceStatus struct {
	Source     string              `json:"source"`
	Host       string              `json:"host,omitempty"`
	Snapshot   string              `json:"snapshot,omitempty"` // missing: there is none
	Time       *time.Time          `json:"time,omitempty"`
	Age        *float64            `json:"age_seconds,omitempty"`
	InFuture   bool                `json:"in_future,omitempty"`
	TooOld     bool                `json:"too_old"`
	State      string              `json:"state,omitempty"`
	Incomplete bool                `json:"incomplete,omitempty"`
	Failed     uint64              `json:"failed,omitempty"`
	RunCount   int                 `json:"unpublished_count"`
	Runs       []unpublishedObject `json:"unpublished,omitempty"` // the last ones, the oldest first
	Resumable  *archive.Unfinished `json:"resumable,omitempty"`

	end time.Time // of the snapshot's run
}

// unpublishedObject is a run that published nothing.
type unpublishedObject struct {
	Run     string          `json:"run"`
	Time    time.Time       `json:"time"`
	Outcome archive.Outcome `json:"outcome"`
	Error   string          `json:"error"`
}

// waitingObject is a snapshot that waits to be acknowledged.
type waitingObject struct {
	Snapshot  string             `json:"snapshot"`
	State     string             `json:"state"`
	Source    string             `json:"source"`
	Tripwires []archive.Tripwire `json:"tripwires"`
}

// unusableObject is a snapshot without its catalog or its folder.
type unusableObject struct {
	Snapshot string `json:"snapshot"`
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
}

// printJSON prints the damage that is known, and the status.
func (s *archiveStatus) printJSON(a *app) error {
	for i := range s.damage {
		if err := a.printJSON("damaged", damagedJSON(s.archive.Path, &s.damage[i])); err != nil {
			return err
		}
	}
	return a.printJSON("status", &s.statusObject)
}
