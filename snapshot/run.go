package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"snapcopy/internal/archive"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lack"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
	"snapcopy/internal/walk"
)

// run is the state of one Run.
type run struct {
	opt     Options
	archive *archive.Archive
	locked  *archive.Locked // the same; nil in a dry run
	filter  *filter.Filter
	report  *archive.Report
	host    string
	origin  *origin // of a copy; nil: the run takes a snapshot of a live folder

	storing      // the part that keeps and stores entries
	work     int // handle of .snapcopy/work; fsat.NoDir in a dry run
	top      *dir
	dirs     dirhandles.Set[*dir]
	coverage coverage
	workers  []worker
	tally    tally
	retries  retries

	isFirst   bool // the archive has no snapshot yet
	noted     bool // the report in the work folder, if there is one, is this run's, and not one that waits for space
	published bool
	loss      error // archive.ErrUnreachable or archive.ErrReadOnly, once the run has failed for that
}

// Errors that callers tell apart, beside those of the archive.
var (
	// ErrInsideArchive reports a source that is the archive or lies in it.
	ErrInsideArchive = errors.New("source is inside the archive")
	// ErrNoSource reports a source that does not exist: a disk that is not mounted, or a folder moved or removed.
	ErrNoSource = errors.New("the source is missing")
	// ErrNothingStored reports a run that could read none of the entries other than folders.
	ErrNothingStored = errors.New("nothing could be read")
	// ErrNotMountPoint reports a source at which nothing is mounted, though it is to be a mount point.
	ErrNotMountPoint = errors.New("nothing is mounted at it")
	// ErrClock reports a clock that is behind all snapshots.
	ErrClock = errors.New("clock is behind all snapshots")
)

// Run takes one snapshot of the folder from and publishes it in the archive at path, which it makes if the folder is
// missing or empty. Nothing is visible in the archive until everything in the snapshot is durable; if Run fails, is
// cancelled or the machine dies, there is no new snapshot and every earlier one is unchanged.
//
// Files that cannot be read do not stop the run: they are listed in the report, which is then marked incomplete. With
// an error Run also returns a report, unless there is nothing to report.
func Run(ctx context.Context, from, path string, opt Options) (*archive.Report, error) {
	r := newRun(ctx, opt)
	r.report.Filters = r.filter
	return r.take(path, func() error { return r.openLocal(from, path) })
}

func newRun(ctx context.Context, opt Options) *run {
	if opt.Progress == nil {
		opt.Progress = new(archive.Progress)
	}
	if opt.Exclude == nil {
		opt.Exclude = exclude.New()
	}
	r := &run{opt: opt, work: fsat.NoDir, filter: opt.filter()}
	r.ctx, r.ignoreCtime = ctx, opt.IgnoreCtime
	r.groups.init()
	r.unfinished.dir, r.unfinished.kept = fsat.NoDir, fsat.NoDir
	r.retries.init(&opt)
	r.previous.ignored = tree.Ignored(opt.IgnoreCtime, opt.IgnoreInode)
	r.tally.item, r.previous.gone.told = opt.Item, opt.Item != nil
	r.report = &archive.Report{Start: opt.now().UTC(), DryRun: opt.DryRun, Limits: opt.limits()}
	return r
}

// take does a whole run, from opening the source to publishing the snapshot.
func (r *run) take(path string, openSource func() error) (report *archive.Report, err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	defer func() { r.recordUnpublished(path, err) }()
	defer func() { err = r.withLoss(err) }()
	if err := fsat.CheckProc(); err != nil {
		return nil, err
	}
	if err := openSource(); err != nil {
		return nil, err
	}
	if err := r.openArchive(path); err != nil {
		return nil, err
	}
	if !r.opt.DryRun {
		if r.locked, err = r.archive.Lock(); err != nil {
			return nil, err
		}
		defer func() {
			err = errors.Join(err, r.locked.Unlock())
			r.emptyTrash(err)
		}()
		if err := r.cleanUp(); err != nil {
			return nil, err
		}
	}
	if err := r.lookBack(); err != nil {
		return nil, err
	}
	if err := r.mustFit(); err != nil {
		return r.report, err
	}
	defer func() {
		if !errors.As(err, new(*NoRoomError)) {
			err = lack.Explain(err, path)
		}
		err = errors.Join(err, r.abandon(err))
	}()
	if err := r.begin(); err != nil {
		return nil, err
	}
	if err := r.walk(); err != nil {
		if isFatal(err) { // it names the entry
			err = fmt.Errorf("archive %s: %w", r.report.Archive, err)
		}
		return r.report, err
	}
	if r.opt.DryRun {
		return r.report, r.foresee()
	}
	return r.report, r.publish()
}

// lookBack looks at the snapshots that there are: the new one needs another name, and is compared with them.
func (r *run) lookBack() error {
	snapshots, err := r.chooseName()
	if err != nil {
		return err
	}
	if r.isFirst = len(snapshots) == 0; r.isFirst {
		return nil
	}
	return r.compareWith(snapshots)
}

// step precedes each change of the archive, and makes it fail in tests.
func (r *run) step(name string) error {
	if r.opt.Fault == nil {
		return nil
	}
	return r.opt.Fault(name)
}

func (r *run) phase(p archive.Phase) { r.opt.Progress.Phase.Store(int32(p)) }

// openArchive opens the archive or makes it. A dry run never makes one: it goes on without.
func (r *run) openArchive(path string) error {
	if err := archive.OutsideOthers(path); err != nil {
		return err
	}
	a, err := archive.Open(path)
	if errors.Is(err, archive.ErrNoArchive) && !r.opt.RequireArchive {
		r.report.Created = true
		if r.opt.DryRun {
			r.caps.HardLinks = true
			if r.report.Archive, err = filepath.Abs(path); err != nil {
				return err
			}
			r.caps.newOn = placeOfNew(r.report.Archive)
			return archive.CanCreate(r.report.Archive)
		}
		if err := r.step("create"); err != nil {
			return err
		}
		a, err = archive.CreateBy(r.opt.Taker, path, r.opt.now())
	}
	if err != nil {
		return err
	}
	r.archive, r.report.Archive, r.caps.Capabilities = a, a.Path, a.Info.Capabilities
	if mode := a.TopStat.Mode & 0o777; r.report.Created && r.caps.Modes && mode&0o077 != 0 {
		r.report.ArchiveMode = mode
	}
	if a.InfoDamage != nil { // mended when the archive is locked; a dry run takes that for granted
		r.caps.HardLinks = true
	}
	a.Now, a.Taker = r.opt.now, r.opt.Taker
	return r.apart()
}

// apart makes sure that the run does not read its own output.
func (r *run) apart() error {
	switch s := r.source.(type) {
	case *source.Local:
		s.Archive = &r.archive.TopStat
	case *source.Snapshot:
		if r.archive.TopStat.SameFile(&r.origin.archive.TopStat) {
			return fmt.Errorf("copy snapshot %s: %w", r.origin.snapshot.Name, ErrInsideArchive)
		}
	}
	return nil
}

// chooseName names the new snapshot, and returns the snapshots that the archive has.
func (r *run) chooseName() ([]archive.Snapshot, error) {
	r.report.Snapshot = archive.NameAt(r.report.Start)
	if r.archive == nil {
		return nil, nil
	}
	snapshots, err := r.archive.Snapshots()
	if err != nil {
		return nil, err
	}
	if r.origin == nil {
		return snapshots, nameRun(r.ctx, r.archive, snapshots, r.report, &r.opt)
	}
	r.report.Snapshot, err = r.origin.name(r.archive, snapshots)
	return snapshots, err
}

// compareWith opens the previous snapshot, whose files are linked, the base line, by which the run is judged, and the
// index of all snapshots. The first two are of the same source; an archive can have several sources.
func (r *run) compareWith(snapshots []archive.Snapshot) (err error) {
	r.pool.damaged = readDamaged(r.archive)
	newestFirst := r.archive.NewestFirst(snapshots, r.report.Start)
	if r.origin != nil {
		newestFirst = r.origin.newestFirst(snapshots)
	}
	l := archive.Lineage{NewestFirst: newestFirst, Source: archive.SourceID{Host: r.host, Path: r.report.Source}}
	if err := r.openPrevious(&l); err != nil {
		return err
	}
	if l.Judge, err = r.archive.Judge(); err != nil {
		return err
	}
	if r.report.Contains, err = r.coverage.open(&l, &r.previous); err != nil {
		return err
	}
	if r.report.Waiting, err = r.coverage.waiting(&l, &r.previous); err != nil {
		return err
	}
	r.report.IndexRebuilt, err = r.pool.openIndex(r.ctx, r.archive, r.locked, snapshots)
	return err
}

// openPrevious opens the previous snapshot, if there is one. The report of its run is no more than a hint.
func (r *run) openPrevious(l *archive.Lineage) error {
	p, rep := &r.previous, r.report
	if err := p.open(l); err != nil || p.catalog == nil {
		return err
	}
	before, err := r.archive.Reports.Read(p.name)
	if err != nil {
		before = nil
	}
	sum := p.catalog.Summary()
	r.caps.restat = sum.Anchor != r.archive.Anchor
	p.beginRecheck(before, r.opt.Recheck, rep.Start)
	r.rehashing.off = r.opt.DryRun || r.origin != nil
	r.rehashing.begin(before, r.opt.Rehash)
	rep.RehashNext = r.rehashing.turn.next()
	p.recheck.all = p.recheck.all || r.caps.restat
	r.caps.gainedRights = r.caps.Owners && r.caps.Modes && (before == nil || !before.SetsOwners)
	rep.Previous, rep.RecheckNext = p.name, p.recheck.next()
	if !p.other {
		r.opt.Progress.ExpectFiles.Store(sum.Counts.Files)
		r.opt.Progress.ExpectAll.Store(sum.Counts.BytesTotal)
	}
	if r.tally.allNew = p.other; p.other {
		rep.OtherSource = sum.Source
	}
	return nil
}

// begin makes the mirror with its empty top folder, and begins the record of the snapshot.
func (r *run) begin() error {
	r.workers = newWorkers(r.opt.threads(), r.source, r.opt.Progress, &r.tally, &r.coverage, &r.retries)
	r.caps.asRoot = os.Geteuid() == 0
	r.dirs.Open, r.dirs.OpenFrom, r.dirs.Close = openByPath, openFrom, (*dir).closeHandles
	if r.archive != nil {
		r.pool.init(r.archive)
	}
	if err := r.goOn(); err != nil {
		return err
	}
	r.mirror = r.newMirror()
	if !r.opt.DryRun {
		if r.caps.Reflink {
			r.recent = new(recentContents)
		}
		if err := r.step("begin"); err != nil {
			return err
		}
		if err := r.rec.begin(r.archive); err != nil {
			return err
		}
	}
	return r.openTop()
}

// newMirror returns the mirror in which the snapshot grows.
func (r *run) newMirror() mirror.Mirror {
	if r.opt.DryRun {
		dry := &mirror.Dry{Root: fsat.NoDir, Previous: r.previous.name}
		if r.archive != nil {
			dry.Root = r.archive.Root
		}
		return dry
	}
	return mirror.NewPlain(mirror.Place{
		Root: r.archive.Root, RootPath: r.archive.Path, Work: r.mirrorIn(), WorkPath: r.mirrorPath(), Previous: r.previous.name,
		FileSystem: mirror.FileSystem{Symlinks: r.caps.Symlinks, LinkMetadata: r.caps.LinkMetadata,
			Specials: r.caps.Specials, Modes: r.caps.Modes, OwnFolders: !r.caps.FolderOwners, NamesKept: r.caps.NamesKept, NeedsFsync: r.caps.NeedsFsync},
		Fault: r.opt.Fault,
	})
}

// mirrorIn is the handle of the folder in which the mirror grows.
func (r *run) mirrorIn() int {
	if r.unfinished.dir >= 0 {
		return r.unfinished.dir
	}
	return r.work
}

func (r *run) mirrorPath() string {
	if r.unfinished.dir >= 0 {
		return r.unfinished.path
	}
	return r.archive.WorkPath()
}

// walk walks the source, fills the mirror and the catalog, and judges the outcome.
func (r *run) walk() error {
	r.phase(archive.Copying)
	ctx, scan := r.beginScan(r.ctx)
	before := r.ctx
	r.ctx = ctx
	err := walk.Run(ctx, len(r.workers), r.top, len(r.top.names), walk.Tree[*dir]{
		Items: r.items,
		Enter: r.enter,
		Leave: r.leave,
		Again: r.again,
	})
	err, r.ctx = scan.end(ctx, err), before
	for _, failure := range r.source.Failures() {
		r.workers[0].fail(".", failure)
	}
	if r.origin != nil {
		r.origin.addCounts(&r.workers[0].counts)
	}
	if err == nil {
		r.judge()
		r.report.UnmatchedPatterns = r.opt.Exclude.Unmatched()
	}
	r.sumUp()
	if c := &r.report.Counts; err == nil && c.Files == c.Kept && c.Failed > 0 {
		for i := range r.report.Failed { // nothing is published that could keep them
			r.report.Failed[i].KeptAsOf = ""
		}
		err = fmt.Errorf("source %s: %w", r.report.Source, ErrNothingStored)
	}
	return err
}

func (r *run) close() error {
	var errs []error
	errs = append(errs, r.dirs.CloseAll())
	if r.source != nil {
		errs = append(errs, r.source.Close())
	}
	errs = append(errs, r.origin.close())
	errs = append(errs, r.pool.close(), r.carrying.close())
	if r.mirror != nil {
		errs = append(errs, r.mirror.Close())
	}
	errs = append(errs, r.rec.close(), r.unfinished.close())
	errs = append(errs, r.previous.close(), r.coverage.close())
	errs = append(errs, fsat.Close(r.work))
	if r.archive != nil {
		errs = append(errs, r.archive.Close())
	}
	return errors.Join(errs...)
}
