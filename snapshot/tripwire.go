package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/plainfile"
)

// Tripwire is a sign that a run saw something other than the source as it should be: a disk that was not mounted, a script
// gone wrong, files encrypted by an intruder. The snapshot is as good as any other; but until a person has acknowledged
// that all is well, no snapshot may be pruned, because the ones before may be needed.
type Tripwire string

// The tripwires.
const (
	EmptySource  Tripwire = "empty source"
	MassDeletion Tripwire = "mass deletion"
	MassChange   Tripwire = "mass change"
)

// fewFiles is how many files a source may have in which any share of them may come and go.
const fewFiles = 100

// Tripwires says what a run with these counts has set off. A first run sets off nothing.
func Tripwires(c *index.Counts) (list []Tripwire) {
	before := c.Unchanged + c.Changed + c.Moved + c.Deleted
	switch {
	case before > 0 && c.Files == 0:
		list = append(list, EmptySource)
	case before >= fewFiles && c.Deleted > before/2:
		list = append(list, MassDeletion)
	}
	if before >= fewFiles && c.Changed > before/2 {
		list = append(list, MassChange)
	}
	return list
}

// Tripped is a snapshot whose run has set off tripwires.
type Tripped struct {
	Snapshot  string
	Tripwires []Tripwire
	Counts    index.Counts
}

const acknowledgedFile = "acknowledged.json"

type acknowledged struct {
	Snapshot string    `json:"snapshot"` // it and all before
	Time     time.Time `json:"time"`
}

// covers reports whether s was acknowledged. What was acknowledged may have been from the future, after a run whose clock was
// wrong: then what was made since comes before it by name.
func (a *acknowledged) covers(s Snapshot) bool {
	t, ok := parseName(a.Snapshot)
	since := ok && t.After(a.Time.Add(clockSlack)) && s.Time.After(a.Time.Add(clockSlack)) && s.Name != a.Snapshot
	return s.Name <= a.Snapshot && !since
}

// Unacknowledged lists the snapshots whose runs have set off tripwires that nobody has acknowledged. What a damaged catalog
// tells is not part of it.
func (a *Archive) Unacknowledged() (list []Tripped, err error) {
	until, _ := a.readAcknowledged() // without it, nothing is acknowledged; Findings tells of it
	snapshots, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		if until.covers(s) {
			continue
		}
		c, err := s.OpenCatalog()
		if errors.Is(err, index.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
		counts := c.Summary().Counts
		if err := c.Close(); err != nil {
			return nil, err
		}
		if wires := Tripwires(&counts); len(wires) > 0 {
			list = append(list, Tripped{s.Name, wires, counts})
		}
	}
	return list, nil
}

// readAcknowledged reads what was acknowledged: nothing if that cannot be read.
func (a *Archive) readAcknowledged() (until acknowledged, err error) {
	text, err := plainfile.Read(a.metaPath(acknowledgedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return until, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &until)
	}
	if _, isName := parseName(until.Snapshot); err == nil && !isName {
		err = errors.New("it names no snapshot")
	}
	if err != nil {
		return acknowledged{}, err
	}
	return until, nil
}

// Acknowledge notes that the snapshot of that name and all before it are as they should be. It takes the lock.
func (a *Archive) Acknowledge(name string, now time.Time) (err error) {
	lock, err := a.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	text, err := json.MarshalIndent(acknowledged{name, now.UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(a.metaPath(acknowledgedFile), append(text, '\n'), 0o600)
}
