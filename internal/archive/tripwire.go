package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/jsonfile"
)

// Tripwire is a sign that a run saw something other than the source as it should be: a disk that was not mounted, a script
// gone wrong, a filter that leaves out too much, files encrypted by an intruder. The snapshot is as good as any other; but
// until a person has acknowledged that all is well, no snapshot may be pruned, because the ones before may be needed, and
// later runs are measured against those.
type Tripwire string

// The tripwires.
const (
	EmptySource   Tripwire = "empty source"
	MassDeletion  Tripwire = "mass deletion"
	MassExclusion Tripwire = "mass exclusion" // most files are left out that were not before
	MassChange    Tripwire = "mass change"
	SourceInside  Tripwire = "source inside another" // only a part of what was saved before
)

// fewFiles is how many files a source may have in which any share of them may come and go.
const fewFiles = 100

// Tripwires says what a run has set off that compares with its base line as c says, and has stored that many files. A
// first run, for which c is nil, sets off nothing.
//
// What could not be read counts neither as gone nor as seen: the snapshot is incomplete, its entries are listed, and it
// takes no other's place.
func Tripwires(c *Coverage, files uint64) (list []Tripwire) {
	if c == nil {
		return nil
	}
	if c.Source != "" {
		return []Tripwire{SourceInside}
	}
	seen := c.Files - min(c.Files, c.Unread)
	isEmpty := files == 0 && c.Files > 0
	many := seen >= fewFiles && c.gone() > seen/2
	switch {
	case (isEmpty || many) && c.LeftOut > c.Deleted:
		list = append(list, MassExclusion)
	case isEmpty:
		list = append(list, EmptySource)
	case many:
		list = append(list, MassDeletion)
	}
	if seen >= fewFiles && c.Changed > seen/2 {
		list = append(list, MassChange)
	}
	return list
}

// hollow reports whether a run lacks most of what its base line has.
func (c *Coverage) hollow(files uint64) bool {
	if c == nil || c.Files == 0 {
		return false
	}
	return files == 0 || c.Files >= fewFiles && c.gone()+c.Unread > c.Files/2
}

// Tripped is a snapshot whose run has set off tripwires.
type Tripped struct {
	Snapshot  string
	Source    string
	Tripwires []Tripwire
	Coverage  Coverage
}

// Unacknowledged lists the snapshots whose runs have set off tripwires that nobody has acknowledged. What a damaged catalog
// tells is not part of it.
func (a *Archive) Unacknowledged() (list []Tripped, err error) {
	standings, err := a.Standings()
	if err != nil {
		return nil, err
	}
	for i := range standings {
		s := &standings[i]
		if len(s.Tripwires) > 0 {
			list = append(list, Tripped{s.Snapshot.Name, s.Summary.Source, s.Tripwires, s.Coverage})
		}
	}
	return list, nil
}

const acknowledgedFile = "acknowledged.json"

// acknowledged says of which snapshots a person has said that all is well with them.
type acknowledged struct {
	Snapshot string    `json:"snapshot"` // it and all before that existed at that time
	Time     time.Time `json:"time"`
	// Ahead names snapshots of a clock that was ahead: they are newer than the time at which they were acknowledged.
	Ahead []string `json:"ahead,omitempty"`
}

// covers reports whether a snapshot was acknowledged. By its name alone, what was published later could be: after a clock
// that was ahead, snapshots have names between others.
func (k *acknowledged) covers(s *index.Summary) bool {
	end := time.Unix(s.End.Sec, int64(s.End.Nsec))
	return s.Snapshot <= k.Snapshot && !end.After(k.Time) || slices.Contains(k.Ahead, s.Snapshot)
}

// Acknowledged reads what was acknowledged: nothing if the note is damaged, of which Findings tells.
func (a *Archive) Acknowledged() (acknowledged, error) {
	k, err := a.readAcknowledged()
	if couldNotLook(err) {
		return k, err
	}
	return k, nil
}

// readAcknowledged reads what was acknowledged, or says why the note cannot be used.
func (a *Archive) readAcknowledged() (k acknowledged, err error) {
	err = jsonfile.Read(a.MetaPath(acknowledgedFile), &k)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if _, isName := ParseName(k.Snapshot); err == nil && !isName {
		err = errors.New("it names no snapshot")
	}
	if err != nil {
		return acknowledged{}, err
	}
	return k, nil
}

// Acknowledge notes that the snapshot of that name and all before it are as they should be. It takes the lock.
func (a *Archive) Acknowledge(name string, now time.Time) (err error) {
	lock, err := a.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	k := acknowledged{Snapshot: name, Time: now.UTC().Truncate(time.Second).Add(time.Second)} // so that it has passed
	standings, err := a.Standings()
	if err != nil {
		return err
	}
	for i := range standings {
		s := &standings[i]
		if s.Snapshot.Name <= name && (len(s.Tripwires) > 0 || s.Accepted) && !k.covers(&s.Summary) {
			k.Ahead = append(k.Ahead, s.Snapshot.Name)
		}
	}
	// A full disk needs this to be pruned.
	return a.withRoom(context.Background(), func() error {
		return jsonfile.Write(a.MetaPath(acknowledgedFile), k)
	})
}

// coverageFromCounts is what the counts of a catalog tell of how its run compared with the previous snapshot. It is used
// where no report says more: one that was written before there were base lines.
func coverageFromCounts(s *index.Summary) *Coverage {
	c := &s.Counts
	if s.Previous == "" {
		return nil
	}
	return &Coverage{Snapshot: s.Previous, Files: c.Unchanged + c.Changed + c.Moved + c.Deleted, Deleted: c.Deleted,
		Changed: c.Changed}
}

// coverageFromCatalogs is coverageFromCounts where the report is lost. The counts do not tell how many of the files that
// were left out had been in the previous snapshot, but its catalog tells how many there are less.
func (a *Archive) coverageFromCatalogs(s *index.Summary) (*Coverage, error) {
	cover := coverageFromCounts(s)
	if cover == nil {
		return nil, nil
	}
	c, err := index.Open(a.CatalogPath(s.Previous))
	switch {
	case errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrNewer), errors.Is(err, fs.ErrNotExist), fsat.IsBadDisk(err):
		return cover, nil
	case err != nil:
		return nil, fmt.Errorf("snapshot %s: %w", s.Previous, err)
	}
	before := c.Summary()
	if err := c.Close(); err != nil {
		return nil, err
	}
	if before.Source != s.Source {
		return cover, nil
	}
	fewer := before.Counts.Files - min(before.Counts.Files, s.Counts.Files)
	cover.Files = max(cover.Files, before.Counts.Files)
	if missing := fewer - min(fewer, cover.Deleted); s.Incomplete {
		cover.Unread = missing
	} else {
		cover.Deleted += missing
	}
	return cover, nil
}

// Coverage compares a run with its base line: the last snapshot of the same source that is good. Counts are of files of
// every kind but folders. Files are matched by their paths; one found under another path is neither deleted nor left out.
type Coverage struct {
	Snapshot string `json:"snapshot"` // the base line
	// Source is the source of the base line, if that is another folder, in which the source of the run lies.
	Source  string `json:"source,omitempty"`
	Files   uint64 `json:"files"`    // of the base line
	Deleted uint64 `json:"deleted"`  // the source has them no more
	LeftOut uint64 `json:"left_out"` // the source may have them, but the run was told to leave them out
	Unread  uint64 `json:"unread"`   // they, or folders above them, could not be read
	Changed uint64 `json:"changed"`  // in content or metadata

	Rules []RuleCount `json:"rules,omitempty"` // what left files out, the most effective first
}

// RuleCount is how many files of the base line a rule has left out.
type RuleCount struct {
	Rule  string `json:"rule"`
	Files uint64 `json:"files"`
}

// gone counts the files that a run covers no more, whatever the cause, but for those that could not be read.
func (c *Coverage) gone() uint64 { return c.Deleted + c.LeftOut }
