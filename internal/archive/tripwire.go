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

// Tripwire is a sign that a run did not see its source as it should be: a disk that was not mounted, a script gone
// wrong, a filter that leaves out too much, files encrypted by an intruder. The snapshot is as good as any other; but
// until a person acknowledges it, no snapshot may be pruned, because earlier ones may be needed, and later runs are
// measured against those.
type Tripwire string

// The tripwires.
const (
	EmptySource   Tripwire = "empty source"
	MassDeletion  Tripwire = "mass deletion"
	MassExclusion Tripwire = "mass exclusion" // most files of the base line are left out by filters
	MassChange    Tripwire = "mass change"
	SourceInside  Tripwire = "source inside another" // the run covers only a part of an earlier source
	NotMounted    Tripwire = "not mounted"           // the source was a mount point, and is none now
	OtherDevice   Tripwire = "other device"          // the source was on another file system
)

// Limits are the shares of the files of a base line that may be gone or changed in a run that does not look wrong. A
// run records its limits in its report.
type Limits struct {
	MaxDeleted float64 `json:"max_deleted"` // of files gone or left out, from 0 to 1; 1: no limit
	MaxChanged float64 `json:"max_changed"` // the same for files changed in content or metadata
	// MinFiles is the number of files of a base line below which any share of them may be gone or changed.
	MinFiles uint64 `json:"min_files"`
}

// DefaultLimits returns the limits of a run that is given none, and of runs that did not record theirs.
func DefaultLimits() Limits { return Limits{MaxDeleted: 0.5, MaxChanged: 0.5, MinFiles: 100} }

// exceeds reports whether n files of a base line are more than a share of them.
func exceeds(n, of uint64, share float64) bool {
	const rounding = 1e-9 // of shares like 0.29
	return share < 1 && float64(n) > float64(of)*(share+rounding)
}

// Trial is what the tripwires of a run are drawn from.
type Trial struct {
	Coverage *Coverage // of its base line; nil: there is none, as for the first run of a source
	Files    uint64    // that the run has stored
	Limits   Limits
	// Waiting says that an earlier run of the source set off tripwires that nobody has acknowledged. A source of few
	// files then looks wrong until there are about as many files again, even if others, and one of many until the files
	// gone and changed are few together.
	Waiting bool
}

// Tripwires returns the tripwires of a run.
//
// Files that could not be read count neither as gone nor as seen: the snapshot is incomplete, its entries are listed,
// and it replaces no other.
func (t *Trial) Tripwires() (list []Tripwire) {
	c := t.Coverage
	if c == nil {
		return nil
	}
	if c.Source != "" {
		return []Tripwire{SourceInside}
	}
	seen := c.Files - min(c.Files, c.Unread)
	isEmpty := t.Files == 0 && c.Files > 0
	together := t.exceedTogether(seen)
	many := t.lacksMany(seen) || together && c.gone() > 0
	switch {
	case (isEmpty || many) && c.LeftOut > c.Deleted:
		list = append(list, MassExclusion)
	case isEmpty:
		list = append(list, EmptySource)
	case many:
		list = append(list, MassDeletion)
	}
	if seen >= t.Limits.MinFiles && exceeds(c.Changed, seen, t.Limits.MaxChanged) || together && c.Changed > 0 {
		list = append(list, MassChange)
	}
	return list
}

// lacksMany reports whether more of the seen files of the base line are gone than may be.
func (t *Trial) lacksMany(seen uint64) bool {
	counts := seen >= t.Limits.MinFiles || t.Waiting && exceeds(seen-min(seen, t.Files), seen, t.Limits.MaxDeleted)
	return counts && exceeds(t.Coverage.gone(), seen, t.Limits.MaxDeleted)
}

// exceedTogether reports, while an earlier run waits, whether more files are gone or changed than may be of either kind.
// Otherwise a run that looks wrong would look right as soon as half of the changed files are deleted.
func (t *Trial) exceedTogether(seen uint64) bool {
	l := t.Limits
	if !t.Waiting || seen < l.MinFiles || l.MaxDeleted >= 1 || l.MaxChanged >= 1 {
		return false
	}
	return exceeds(t.Coverage.gone()+t.Coverage.Changed, seen, max(l.MaxDeleted, l.MaxChanged))
}

// hollow reports whether a run lacks most files of its base line. Files gone within the limits of the run are no lack,
// unless most of the others could not be read.
func (t *Trial) hollow() bool {
	c := t.Coverage
	if c == nil || c.Files == 0 {
		return false
	}
	const most = 0.5
	return t.Files == 0 || c.Files >= t.Limits.MinFiles &&
		(exceeds(c.gone()+c.Unread, c.Files, max(most, t.Limits.MaxDeleted)) || exceeds(c.Unread, c.Files, most))
}

// Tripped is a snapshot whose run has set off tripwires.
type Tripped struct {
	Snapshot  string
	Source    string
	Tripwires []Tripwire
	Coverage  Coverage
	Place     PlaceChange
}

// Unacknowledged returns the snapshots whose runs have set off tripwires that nobody has acknowledged. It leaves out
// snapshots with a damaged catalog.
func (a *Archive) Unacknowledged() (list []Tripped, err error) {
	standings, err := a.Standings()
	if err != nil {
		return nil, err
	}
	for i := range standings {
		s := &standings[i]
		if len(s.Tripwires) > 0 {
			list = append(list, s.tripped())
		}
	}
	return list, nil
}

// TrippedRun returns the tripwires that the run of a snapshot has set off and that nobody has acknowledged; ok is false if
// there are none.
func (a *Archive) TrippedRun(s Snapshot) (t Tripped, ok bool, err error) {
	judge, err := a.Judge()
	if err != nil {
		return t, false, err
	}
	st, usable, err := judge.standing(s)
	if err != nil || !usable || len(st.Tripwires) == 0 {
		return t, false, err
	}
	return st.tripped(), true, nil
}

func (s *Standing) tripped() Tripped {
	return Tripped{s.Snapshot.Name, s.Summary.Source, s.Tripwires, s.Coverage, s.placeChange()}
}

const acknowledgedFile = "acknowledged.json"

// acknowledged is the note of the snapshots that a person has accepted.
type acknowledged struct {
	Snapshot string    `json:"snapshot"` // it and all snapshots before it, as of that time
	Time     time.Time `json:"time"`
	// Ahead names snapshots of a clock that was ahead: their names are later than the acknowledgement.
	Ahead []string `json:"ahead,omitempty"`
}

// covers reports whether a snapshot was acknowledged. Its name alone does not tell: after a clock that was ahead,
// later snapshots get names before existing ones.
func (k *acknowledged) covers(s *index.Summary) bool {
	end := time.Unix(s.End.Sec, int64(s.End.Nsec))
	return s.Snapshot <= k.Snapshot && !end.After(k.Time) || slices.Contains(k.Ahead, s.Snapshot)
}

// readAcknowledged reads the note, or returns the error why it cannot be used.
func readAcknowledged(meta *Meta) (k acknowledged, err error) {
	err = jsonfile.Read(meta.Path(acknowledgedFile), &k)
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

// AcknowledgeAll acknowledges the runs that Unacknowledged lists, and returns them. If there are none, it makes an
// unreadable note of acknowledged runs anew: the new note accepts all snapshots, which is true at this point.
func (a *Archive) AcknowledgeAll(now time.Time) ([]Tripped, error) {
	list, err := a.Unacknowledged()
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return list, a.Acknowledge(list[len(list)-1].Snapshot, now)
	}
	snapshots, err := a.Snapshots()
	if err != nil || len(snapshots) == 0 {
		return nil, err
	}
	if slices.ContainsFunc(a.Findings(), func(f Finding) bool { return errors.Is(f.Err, ErrAcknowledged) }) {
		err = a.Acknowledge(snapshots[len(snapshots)-1].Name, now)
	}
	return nil, err
}

// Acknowledge records that the snapshot of that name and all before it are as they should be. It takes the lock.
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
	return lock.withRoom(context.Background(), func() error {
		return jsonfile.Write(a.Meta.Path(acknowledgedFile), k)
	})
}

// coverageFromCounts derives a run's coverage of the previous snapshot from the counts in its catalog. It serves for
// reports older than base lines.
func coverageFromCounts(s *index.Summary) *Coverage {
	c := &s.Counts
	if s.Previous == "" {
		return nil
	}
	return &Coverage{Snapshot: s.Previous, Files: c.Unchanged + c.Changed + c.Moved + c.Deleted + c.Kept, Deleted: c.Deleted,
		Changed: c.Changed, Unread: c.Kept}
}

// coverageFromCatalogs is coverageFromCounts for a lost report. The counts do not tell how many of the files left out
// had been in the previous snapshot, but the previous catalog tells by how many the files decreased.
func coverageFromCatalogs(meta *Meta, s *index.Summary) (*Coverage, error) {
	cover := coverageFromCounts(s)
	if cover == nil {
		return nil, nil
	}
	c, err := meta.openCatalog(s.Previous)
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
		cover.Unread += missing
	} else {
		cover.Deleted += missing
	}
	return cover, nil
}

// Coverage compares a run with its base line: the last good snapshot of the same source. It counts entries other than
// folders. Entries are matched by their paths; a file found under another path counts neither as deleted nor as left
// out.
type Coverage struct {
	Snapshot string `json:"snapshot"` // the base line
	// Source is the source of the base line, if that is another folder, which contains the source of the run.
	Source  string `json:"source,omitempty"`
	Files   uint64 `json:"files"`    // of the base line
	Deleted uint64 `json:"deleted"`  // the source has them no more
	LeftOut uint64 `json:"left_out"` // the source may have them, but the run's filters leave them out
	Unread  uint64 `json:"unread"`   // they, or folders above them, could not be read
	Changed uint64 `json:"changed"`  // in content or metadata

	Rules []RuleCount `json:"rules,omitempty"` // rules that left files out, the most effective first
}

// RuleCount is the number of files of the base line that a rule has left out.
type RuleCount struct {
	Rule  string `json:"rule"`
	Files uint64 `json:"files"`
}

// gone returns the number of files that a run no longer covers, for any reason but a failure to read them.
func (c *Coverage) gone() uint64 { return c.Deleted + c.LeftOut }
