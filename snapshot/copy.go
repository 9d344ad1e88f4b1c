package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filter"
	"snapcopy/internal/source"
)

// ErrCopied reports a snapshot of which the archive has a copy already.
var ErrCopied = errors.New("the archive has a copy of this snapshot")

// origin is the snapshot that a run copies.
type origin struct {
	archive  *archive.Archive
	snapshot archive.Snapshot
	hold     *archive.Hold
	summary  index.Summary
	report   *archive.Report // of its run; nil: lost
	isOlder  bool            // the archive that is written has a newer snapshot
}

// Copy copies a snapshot of the archive from into the archive at path, the target. The copy has the time and the name
// of the snapshot (if another snapshot has that name, the next free one), its source and host, and everything else in
// its catalog, whatever either file system can store. Contents that the target has are linked: a file that did not
// change between two snapshots that are copied one after the other is one stored file in the target, too. Contents are
// found by the hashes in the catalog, and read only if the target lacks them; a stored file whose content differs from
// the recorded one is listed as failed.
//
// Everything else is as with Run. It returns ErrCopied if the target has a copy of that snapshot. The options for what to
// leave out, IgnoreInode, IgnoreCtime and those about the clock mean nothing here. How the snapshot compares with its base
// line, and the tripwires that follow from it, are those of the original run, for as long as its report is there.
func Copy(ctx context.Context, from *archive.Archive, s archive.Snapshot, path string, opt Options) (*archive.Report, error) {
	opt.Exclude, opt.IgnoreInode, opt.IgnoreCtime = exclude.New(), false, false
	r := newRun(ctx, opt)
	r.filter = new(filter.Filter)
	r.origin = &origin{archive: from, snapshot: s}
	return r.take(path, r.openOrigin)
}

// openOrigin opens the snapshot as the run's source, and starts the report of a copy.
func (r *run) openOrigin() (err error) {
	if r.source, err = r.origin.open(r.report); err != nil {
		return err
	}
	r.host = r.origin.summary.Host
	if r.origin.report != nil {
		r.tally.goOn(r.origin.report)
	}
	return nil
}

// open opens the snapshot as a source, and starts the report of its copy.
func (o *origin) open(rep *archive.Report) (source.Source, error) {
	var err error
	if o.hold, err = o.snapshot.Hold(); err != nil {
		return nil, err
	}
	catalog, err := o.snapshot.OpenCatalog()
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", o.snapshot.Name, err)
	}
	from, err := source.OpenSnapshot(o.archive.Root, o.snapshot.Name, catalog)
	if err != nil {
		return nil, err
	}
	o.summary = from.Summary()
	rep.Start, rep.Source = timeFrom(o.summary.Start), o.summary.Source
	rep.CopiedFrom = &archive.Origin{ArchiveID: o.archive.Info.ID, Snapshot: o.snapshot.Name}
	if o.report, err = o.archive.Reports.Read(o.snapshot.Name); err != nil {
		o.report, rep.CopiedFrom.NoReport = nil, err.Error()
		return from, nil
	}
	rep.Filters, rep.ForgottenIn, rep.MarkedItself = o.report.Filters, o.report.ForgottenIn, o.report.MarkedItself
	rep.Place, rep.PlaceWas = o.report.Place, o.report.PlaceWas
	if o.report.Limits != nil {
		rep.Limits = o.report.Limits
	}
	return from, nil
}

func timeFrom(t index.Time) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// addCounts adds the entries that the original run left out or could not read: the copy lacks them, too.
func (o *origin) addCounts(c *index.Counts) {
	was := &o.summary.Counts
	c.Failed += was.Failed
	c.Vanished += was.Vanished
	c.Excluded += was.Excluded
}

// verdict judges the copy. The original run was compared with its base line, and knew why files were missing; to these
// verdict adds those that could not be copied. own is the comparison with the base line of the copy, which has to do if
// there is no report of the original run. failed counts the failures of both.
func (o *origin) verdict(own *archive.Coverage, failed uint64) *archive.Coverage {
	if o.report == nil || o.report.Baseline == nil {
		return own
	}
	was := *o.report.Baseline
	was.Unread += failed - o.summary.Counts.Failed
	return &was
}

func (o *origin) close() error {
	if o == nil || o.hold == nil {
		return nil
	}
	return o.hold.Release()
}

// name returns the name of the snapshot, or the next one that is free in the archive of the copy.
func (o *origin) name(a *archive.Archive, snapshots []archive.Snapshot) (string, error) {
	o.isOlder = len(snapshots) > 0 && snapshots[len(snapshots)-1].Name > o.snapshot.Name
	for at := o.snapshot.Time; ; at = at.Add(time.Second) {
		name := archive.NameAt(at)
		taken, err := a.IsTaken(name)
		if err != nil || !taken {
			return name, err
		}
		i := slices.IndexFunc(snapshots, func(s archive.Snapshot) bool { return s.Name == name })
		if i < 0 {
			continue
		}
		if err := o.isCopy(snapshots[i]); err != nil {
			return "", err
		}
	}
}

// isCopy returns ErrCopied if a snapshot is of the same run.
func (o *origin) isCopy(s archive.Snapshot) error {
	c, err := s.OpenCatalog()
	if errors.Is(err, index.ErrDamaged) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	is := c.Summary()
	if err := c.Close(); err != nil {
		return err
	}
	if is.Start == o.summary.Start && is.Source == o.summary.Source && is.Host == o.summary.Host {
		return fmt.Errorf("%w: it is %s there", ErrCopied, s.Name)
	}
	return nil
}

// newestFirst puts snapshots that are not newer than the origin before the others, in order of the distance in time.
func (o *origin) newestFirst(snapshots []archive.Snapshot) []archive.Snapshot {
	n := 0
	for n < len(snapshots) && !snapshots[n].Time.After(o.snapshot.Time) {
		n++
	}
	order := slices.Clone(snapshots)
	slices.Reverse(order[:n])
	return order
}
