package snapshot

import (
	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// sumUp completes the report with the outcome of the walk.
func (r *run) sumUp() {
	rep := r.report
	r.tally.addTo(rep)
	r.retries.addTo(rep)
	rep.PreviousUnusable, rep.BaselineUnusable = r.previous.unusable, r.coverage.unusable
	for i := range r.workers {
		w := &r.workers[i]
		rep.Counts.Add(&w.counts)
		rep.CatalogOnly.AddAll(&w.catalogOnly)
		rep.LinkLimit += w.limit
		rep.Missing += w.missing
		rep.Rechecked += w.rechecked
		rep.Rehashed += w.rehashed
		rep.Structure += w.structure
		rep.Resumed.Files += w.resumed.Files
		rep.Resumed.Bytes += w.resumed.Bytes
	}
	rep.Copied, rep.SetsOwners = r.caps.restat, r.caps.Owners && r.caps.Modes
	lacking := r.lacking(&rep.CatalogOnly)
	rep.Lacking, rep.UserNamespace = lacking.Names(), lacking&fsat.InitialUser != 0
	if r.rec.additions != nil {
		rep.Counts.Contents = uint64(r.rec.additions.Len())
	}
	rep.Incomplete = rep.Counts.Failed > 0 || r.origin != nil && r.origin.summary.Incomplete
	r.drawTripwires()
	rep.State = archive.StateOf(rep.Incomplete, rep.Tripwires)
	rep.Same = r.isSame()
	rep.End = r.opt.now().UTC()
}

// isSame reports whether the source is exactly as the previous snapshot has it: the hash of a folder covers everything below
// that is known of the source. In a dry run nothing is hashed.
func (r *run) isSame() bool {
	if r.opt.DryRun || r.previous.catalog == nil || r.previous.other || r.report.Incomplete {
		return false
	}
	was, is := r.previous.catalog.Root(), &r.top.self
	return was.Hash != (index.Hash{}) && was.Hash == is.Hash && tree.Diff(&was, is)&(tree.Mode|tree.Owner|tree.Mtime|tree.Xattrs|tree.Attrs) == 0
}

// judge compares the run with the previous snapshot and the base line, now that all entries are decided.
func (r *run) judge() {
	r.previous.countGone(&r.workers[0], &r.pool.moved)
	native := !r.caps.restat && r.coverage.base != nil && r.coverage.base.Summary().Anchor == r.archive.Anchor
	r.report.Baseline = r.coverage.sum(func(m *missing) bool {
		movedEarlier := native && m.nlink <= 1 && r.pool.used.Has(m.stored) // than the previous snapshot
		return m.stored != 0 && (movedEarlier || r.pool.moved.Has(m.stored))
	})
	if r.origin == nil {
		return
	}
	failed := uint64(0)
	for i := range r.workers {
		failed += r.workers[i].counts.Failed
	}
	r.report.Baseline = r.origin.verdict(r.report.Baseline, failed)
}

// noteOutcome makes the report durable before its snapshot exists, if the run must not count as a good one, would not
// by the usual limits, or is a copy: see archive.WorkReport.
func (r *run) noteOutcome() error {
	isUsual := *r.report.Limits == archive.DefaultLimits() // by which a report would be made anew
	if len(r.report.Tripwires) == 0 && !r.report.Incomplete && r.origin == nil && isUsual {
		return nil
	}
	if err := r.step("outcome"); err != nil {
		return err
	}
	if err := r.locked.PlaceWaiting(); err != nil {
		return err
	}
	r.noted = true
	return r.report.WriteTo(r.archive.Meta.Path(archive.WorkDir, archive.WorkReport))
}

// placeReport writes the report of a published snapshot. After a failure of an earlier step the work folder goes on
// naming the snapshot, for the next run.
func (r *run) placeReport() error {
	if err := r.locked.WriteReport(r.report); err != nil || !r.noted || len(r.report.Unfinished) > 0 {
		return err
	}
	return rmtree.Remove(r.work, archive.WorkReport)
}
