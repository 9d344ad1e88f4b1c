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
	o := r.origin
	if o.hold, err = o.snapshot.Hold(); err != nil {
		return err
	}
	catalog, err := o.snapshot.OpenCatalog()
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", o.snapshot.Name, err)
	}
	from, err := source.OpenSnapshot(o.archive.Root, o.snapshot.Name, catalog)
	if err != nil {
		return err
	}
	r.source, o.summary = from, from.Summary()
	var lost error
	o.report, lost = o.archive.Reports.Read(o.snapshot.Name)

	rep := r.report
	r.host, rep.Source = o.summary.Host, o.summary.Source
	rep.Start = timeFrom(o.summary.Start)
	rep.CopiedFrom = &archive.Origin{ArchiveID: o.archive.Info.ID, Snapshot: o.snapshot.Name}
	if lost != nil {
		o.report, rep.CopiedFrom.NoReport = nil, lost.Error()
		return nil
	}
	rep.Filters, rep.ForgottenIn, rep.MarkedItself = o.report.Filters, o.report.ForgottenIn, o.report.MarkedItself
	r.tally.goOn(o.report)
	return nil
}

func timeFrom(t index.Time) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// countOrigin adds the entries that the original run left out or could not read: the copy lacks them, too.
func (r *run) countOrigin() {
	if r.origin == nil {
		return
	}
	was, is := &r.origin.summary.Counts, &r.workers[0].counts
	is.Failed += was.Failed
	is.Vanished += was.Vanished
	is.Excluded += was.Excluded
}

// verdict compares the run with its base line. For a copy the original run has done that, and knew why files were
// missing; verdict adds the entries that could not be copied.
func (r *run) verdict() *archive.Coverage {
	own := r.cover()
	if r.origin == nil || r.origin.report == nil || r.origin.report.Baseline == nil {
		return own
	}
	was := *r.origin.report.Baseline
	for i := range r.workers {
		was.Unread += r.workers[i].counts.Failed
	}
	was.Unread -= r.origin.summary.Counts.Failed // which are among them: see countOrigin
	return &was
}

func (o *origin) close() error {
	if o == nil || o.hold == nil {
		return nil
	}
	return o.hold.Release()
}

// nameCopy gives the copy the name of its snapshot, or the next free name.
func (r *run) nameCopy(snapshots []archive.Snapshot) error {
	o := r.origin
	o.isOlder = len(snapshots) > 0 && snapshots[len(snapshots)-1].Name > o.snapshot.Name
	for at := o.snapshot.Time; ; at = at.Add(time.Second) {
		r.report.Snapshot = archive.NameAt(at)
		taken, err := r.archive.IsTaken(r.report.Snapshot)
		if err != nil || !taken {
			return err
		}
		i := slices.IndexFunc(snapshots, func(s archive.Snapshot) bool { return s.Name == r.report.Snapshot })
		if i < 0 {
			continue
		}
		if err := o.isCopy(snapshots[i]); err != nil {
			return err
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
