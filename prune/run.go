package prune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// Options are the options of Run.
type Options struct {
	Grouping Grouping
	DryRun   bool // make the plan; remove nothing
	// Remove has the options for removing. Run sets Check and Freed. Its Now is the time of the plan.
	Remove archive.RemoveOptions
	// Planned, if set, is called with the plan before any snapshot is removed. Its error ends Run.
	Planned func(*Facts, *Plan) error
}

// Grouping is the way to divide snapshots into groups, to which the rules apply separately.
type Grouping string

// The ways to group.
const (
	BySource Grouping = "source" // host and path; the zero value means this
	ByPath   Grouping = "path"
	Together Grouping = "none"
)

// of returns the group of a snapshot.
func (g Grouping) of(id archive.SourceID) string {
	switch g {
	case ByPath:
		return id.Path
	case Together:
		return ""
	}
	return id.Host + "\x00" + id.Path
}

// Facts describes the snapshots of an archive as far as pruning needs it.
type Facts struct {
	// Tripped lists the runs that look wrong and that nobody has acknowledged: while there are any, Run removes
	// nothing.
	Tripped   []archive.Tripped
	Snapshots []Snapshot
	Sources   map[string]archive.SourceID // of the snapshots, as far as it is known
	NeededBy  map[string]archive.Reader   // snapshots with a reader's note; their Held is Needed
	Unknown   map[string]error            // errors of unusable catalogs; their Held is Unusable
	// WithoutCatalog and WithoutFolder name snapshots of which only a part is left. Run leaves them alone, and they
	// are not in Snapshots.
	WithoutCatalog []string
	WithoutFolder  []string
	// Room is nil if the space that removing snapshots frees is unknown; NoRoom is then the reason.
	Room   *Room
	NoRoom error
}

// Damaged reports whether a catalog is damaged, or a part of a snapshot is lost.
func (f *Facts) Damaged() bool {
	for _, err := range f.Unknown {
		if errors.Is(err, index.ErrDamaged) {
			return true
		}
	}
	return len(f.WithoutCatalog)+len(f.WithoutFolder) > 0
}

// FrozenError reports that no snapshot may be removed, because the snapshots before a run that looks wrong may be
// needed.
type FrozenError struct{ Tripped []archive.Tripped }

func (e *FrozenError) Error() string {
	return fmt.Sprintf("%d runs look wrong, and that is not acknowledged", len(e.Tripped))
}

// Outcome is the result of Run.
type Outcome struct {
	Facts   *Facts
	Plan    *Plan                 // nil: there is none
	Removal *archive.RemoveReport // nil: nothing was to be removed
}

// Run decides by a policy which snapshots of an archive to remove, and removes them. Snapshots that an interrupted
// removal was about to remove count as removed: Run finishes that removal first, by [archive.Archive.Remove] without
// names.
//
// Run fails with a FrozenError if a run looks wrong: at once, or, for a dry run, at the end. With an error Run also
// returns the outcome so far.
func Run(ctx context.Context, a *archive.Archive, policy Policy, opt Options) (*Outcome, error) {
	if opt.Remove.Now == nil {
		opt.Remove.Now = time.Now
	}
	out := &Outcome{Facts: new(Facts)}
	if err := out.Facts.lookForTripwires(a); err != nil {
		return out, err
	}
	frozen := out.Facts.frozen()
	if frozen != nil && !opt.DryRun {
		return out, frozen
	}
	now := opt.Remove.Now()
	if err := out.Facts.gather(ctx, a, opt.Grouping, now); err != nil {
		return out, err
	}
	if out.Facts.Room == nil && policy.thins() {
		return out, out.Facts.NoRoom
	}
	var err error
	if out.Plan, err = Make(out.Facts.Snapshots, policy, now, out.Facts.Room); err != nil {
		return out, err
	}
	if opt.Planned != nil {
		if err := opt.Planned(out.Facts, out.Plan); err != nil {
			return out, err
		}
	}
	names := out.Plan.Removed()
	if frozen != nil || opt.DryRun || len(names) == 0 {
		return out, frozen
	}
	opt.Remove.Freed = Freed(a)
	opt.Remove.Check = func() error { // a run may have ended since the plan was begun
		now := new(Facts)
		if err := now.lookForTripwires(a); err != nil {
			return err
		}
		return now.frozen()
	}
	out.Removal, err = a.Remove(ctx, names, opt.Remove)
	return out, err
}

func (f *Facts) lookForTripwires(a *archive.Archive) (err error) {
	if f.Tripped, err = a.Unacknowledged(); err != nil {
		return fmt.Errorf("look for tripwires: %w", err)
	}
	return nil
}

func (f *Facts) frozen() error {
	if len(f.Tripped) == 0 {
		return nil
	}
	return &FrozenError{f.Tripped}
}

// gather collects all facts but Tripped.
func (f *Facts) gather(ctx context.Context, a *archive.Archive, g Grouping, now time.Time) error {
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	standings, err := a.Standings()
	if err != nil {
		return err
	}
	pins, err := a.Pins()
	if err != nil {
		return err
	}
	readers, err := a.Readers()
	if err != nil {
		return err
	}
	f.NeededBy = make(map[string]archive.Reader)
	for _, r := range readers {
		f.NeededBy[r.Snapshot] = r
	}
	standing := make(map[string]*archive.Standing)
	for i := range standings {
		standing[standings[i].Snapshot.Name] = &standings[i]
	}
	f.Sources, f.Unknown = make(map[string]archive.SourceID), make(map[string]error)
	for _, s := range snapshots {
		p := Snapshot{Name: s.Name, Time: s.Time}
		var pin archive.Pin
		pin, p.Pinned = pins[s.Name]
		p.Label = pin.Label
		if _, needed := f.NeededBy[s.Name]; needed {
			p.Held = Needed
		}
		if err := f.rely(&p, s, standing[s.Name], now); err != nil {
			return err
		}
		p.Group = g.of(f.Sources[s.Name])
		f.Snapshots = append(f.Snapshots, p)
	}
	if f.WithoutCatalog, err = a.WithoutCatalog(); err != nil {
		return err
	}
	if f.WithoutFolder, err = a.WithoutFolder(); err != nil {
		return err
	}
	return f.measure(ctx, a, snapshots)
}

// rely sets how far a snapshot can be relied on. st is nil if its catalog is unusable.
func (f *Facts) rely(p *Snapshot, s archive.Snapshot, st *archive.Standing, now time.Time) error {
	if st == nil {
		err := whyUnknown(s)
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		p.Doubt, p.Held = NotKnown, Unusable
		f.Unknown[s.Name] = err
		return nil
	}
	f.Sources[s.Name] = st.Source()
	p.Complete = !st.Summary.Incomplete
	p.Doubt = doubtAbout(st)
	start := time.Unix(st.Summary.Start.Sec, int64(st.Summary.Start.Nsec)).UTC()
	if p.Time.After(now.Add(Slack)) && start.Before(p.Time) { // made in quick succession
		p.Time = start
	}
	return nil
}

// whyUnknown returns the error that makes the catalog of a snapshot unusable.
func whyUnknown(s archive.Snapshot) error {
	c, err := s.OpenCatalog()
	if err == nil {
		err = errors.Join(errors.New("its catalog could not be used a moment ago"), c.Close())
	}
	return err
}

// doubtAbout returns the reason why a snapshot must not replace others, or NoDoubt.
func doubtAbout(s *archive.Standing) Doubt {
	switch {
	case len(s.Tripwires) > 0:
		return LooksWrong
	case s.Hollow:
		return LacksMost
	case s.Summary.Counts.Files == 0 && !s.Accepted:
		return HoldsNoFile
	}
	return NoDoubt
}

// measure computes the space that the snapshots take, and reads the size of their file system. If a catalog is
// damaged, or newer than this program, the space is unknown.
func (f *Facts) measure(ctx context.Context, a *archive.Archive, snapshots []archive.Snapshot) error {
	space, err := Measure(ctx, a, snapshots)
	switch {
	case errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrNewer):
		f.NoRoom = err
		return nil
	case err != nil:
		return err
	}
	disk, err := a.FileSystem()
	if err != nil {
		return err
	}
	f.Room = &Room{Space: space, Total: Size{Bytes: disk.Total, Inodes: disk.Inodes}, Free: Size{Bytes: disk.Free, Inodes: disk.FreeInodes}}
	return nil
}
