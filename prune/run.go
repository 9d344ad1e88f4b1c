package prune

import (
	"context"
	"errors"
	"fmt"
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
	archive.Earlier
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
	// Unfinished: an interrupted removal has space to give back. Only a dry run leaves it like that.
	Unfinished bool
	// Tripped lists the runs that look wrong and that nobody has acknowledged: while there are any, Run removes
	// nothing.
	Tripped   []archive.Tripped
	Snapshots []Snapshot
	Sources   map[string]archive.SourceID // of the snapshots, as far as it is known
	NeededBy  map[string]archive.Reader   // snapshots with a reader's note; their MustStay is Needed
	Unknown   map[string]error            // errors of unusable catalogs; their MustStay is Unusable
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

// Run decides by a policy which snapshots of an archive to remove, and removes them. An interrupted removal or
// forgetting is finished first, by [archive.Archive.Finish], even if no further snapshot may be removed. So its
// space counts as free in the plan; in that of a dry run it does not.
//
// Run fails with a FrozenError if a run looks wrong: at once, or, for a dry run, at the end. With an error Run also
// returns the outcome so far.
func Run(ctx context.Context, a *archive.Archive, policy Policy, opt Options) (*Outcome, error) {
	if opt.Remove.Now == nil {
		opt.Remove.Now = time.Now
	}
	out := &Outcome{Facts: new(Facts)}
	if err := out.Facts.finishEarlier(ctx, a, &policy, &opt); err != nil {
		return out, err
	}
	if err := out.Facts.lookForTripwires(a); err != nil {
		return out, err
	}
	frozen := out.Facts.frozen()
	if frozen != nil && !opt.DryRun {
		return out, frozen
	}
	if err := out.plan(ctx, a, policy, &opt); err != nil {
		return out, err
	}
	if frozen != nil || opt.DryRun {
		return out, frozen
	}
	return out, out.remove(ctx, a, opt.Remove)
}

// finishEarlier finishes an interrupted removal, which a dry run only looks for, and makes sure that the space of removed
// files counts as free: otherwise the plan would thin out snapshots for space that comes back anyway.
func (f *Facts) finishEarlier(ctx context.Context, a *archive.Archive, policy *Policy, opt *Options) error {
	if opt.DryRun {
		var err error
		if f.Unfinished, err = a.Unfinished(); err != nil {
			return err
		}
	} else if err := a.Finish(ctx, opt.Remove, opt.Earlier); err != nil {
		return err
	}
	if !policy.thins() {
		return nil
	}
	return a.SyncFreed()
}

// plan gathers the facts, and makes the plan.
func (o *Outcome) plan(ctx context.Context, a *archive.Archive, policy Policy, opt *Options) (err error) {
	now := opt.Remove.Now()
	if err := o.Facts.gather(ctx, a, opt.Grouping, now); err != nil {
		return err
	}
	if o.Facts.Room == nil && policy.thins() {
		return o.Facts.NoRoom
	}
	if o.Plan, err = Make(o.Facts.Snapshots, policy, now, o.Facts.Room); err != nil || opt.Planned == nil {
		return err
	}
	return opt.Planned(o.Facts, o.Plan)
}

// remove carries the plan out.
func (o *Outcome) remove(ctx context.Context, a *archive.Archive, opt archive.RemoveOptions) (err error) {
	names := o.Plan.Removed()
	if len(names) == 0 {
		return nil
	}
	opt.Freed = Freed(a)
	opt.Check = func() error { // a run may have ended since the plan was begun
		now := new(Facts)
		if err := now.lookForTripwires(a); err != nil {
			return err
		}
		return now.frozen()
	}
	o.Removal, err = a.Remove(ctx, names, opt)
	return err
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
	readers, err := a.Readers.All()
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
			p.MustStay = Needed
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
		if !errors.Is(err, index.ErrDamaged) && !errors.Is(err, index.ErrNewer) { // it may be readable the next time, and then no longer has to stay
			return fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
		p.Doubt, p.MustStay = NotKnown, Unusable
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
		return HasNoFile
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
