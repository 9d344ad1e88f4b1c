package snapshot

import (
	"slices"
	"strings"
	"sync"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// maxListed is the number of failed items that a report lists; the count is always exact.
const maxListed = 1000

// maxLeftOut is the number of entries left out for their state that a report lists. A restore that deletes spares
// those, and has to be more careful if the list is not complete.
const maxLeftOut = 10_000

// tally collects the lists that workers add to during the walk.
type tally struct {
	mu      sync.Mutex
	failed  []archive.FailedItem
	leftOut []archive.LeftOutItem
	states  uint64 // entries left out for their state

	altered      []archive.Altered
	alteredCount uint64
}

// sumUp adds up the counts of the workers.
func (r *run) sumUp() {
	rep := r.report
	rep.Failed = r.tally.failed
	rep.LeftOut, rep.LeftOutCount = r.tally.leftOut, r.tally.states
	slices.SortFunc(rep.LeftOut, func(a, b archive.LeftOutItem) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(rep.Failed, func(a, b archive.FailedItem) int { return strings.Compare(a.Path, b.Path) })
	for i := range r.workers {
		w := &r.workers[i]
		rep.Counts.Add(&w.counts)
		rep.NotHeld.AddAll(&w.notHeld)
		rep.LinkLimit += w.limit
		rep.Missing += w.missing
		rep.Rechecked += w.rechecked
		rep.Structure += w.structure
	}
	rep.Altered, rep.AlteredCount = r.tally.sortedAltered(), r.tally.alteredCount
	rep.Copied, rep.SetsOwners = r.restat, r.caps.Owners && r.caps.Modes
	lacking := r.lacking(&rep.NotHeld)
	rep.Lacking, rep.UserNamespace = lacking.Names(), lacking&fsat.InitialUser != 0
	if r.additions != nil {
		rep.Counts.Contents = uint64(r.additions.Len())
	}
	rep.Incomplete = rep.Counts.Failed > 0 || r.origin != nil && r.origin.summary.Incomplete
	rep.Tripwires = archive.Tripwires(rep.Baseline, rep.Counts.Files)
	rep.End = r.opt.now().UTC()
}

// noteOutcome makes the report durable before its snapshot exists, if the run must not count as a good one, or is a
// copy: see archive.WorkReport.
func (r *run) noteOutcome() error {
	if len(r.report.Tripwires) == 0 && !r.report.Incomplete && r.origin == nil {
		return nil
	}
	if err := r.step("outcome"); err != nil {
		return err
	}
	return r.report.WriteTo(r.archive.MetaPath(archive.WorkDir, archive.WorkReport))
}

// placeReport writes the report of a published snapshot. After a failure of an earlier step the work folder goes on
// naming the snapshot, for the next run.
func (r *run) placeReport() error {
	if err := r.locked.WriteReport(r.report); err != nil || len(r.report.Unfinished) > 0 {
		return err
	}
	return rmtree.Remove(r.work, archive.WorkReport)
}
