package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fault"
	"snapcopy/internal/fsat"
)

// ErrLastComplete reports a removal that would leave no complete snapshot.
var ErrLastComplete = errors.New("no complete snapshot would be left")

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	// Threads is the number of workers that unlink. 0: one for each processor, at least 2 and at most 16.
	Threads int
	// BackgroundIO makes the process use disks only while no other process does, from the moment the snapshots are
	// gone and only space is left to be freed. It lasts until the process ends.
	BackgroundIO bool
	Rate         int // names unlinked a second at most; 0: no limit

	AllowLast bool // remove the last complete snapshot, too
	// CountIncomplete counts incomplete snapshots as complete: for sources with files that can never be read.
	CountIncomplete bool
	DryRun          bool // look and tell; change nothing

	// Check, if set, is called under the lock, before any snapshot is removed. Its error ends Remove.
	Check func() error
	// Freed, if set, is called before these snapshots are removed, and returns the bytes that removing them frees.
	// known is false if it cannot tell.
	Freed func(ctx context.Context, names []string) (bytes uint64, known bool)

	Progress *Progress // Files and ExpectFiles count names to unlink; nil: nobody is watching
	Now      func() time.Time
	// Fault, if set, is called before each step; its error makes the step fail. For tests.
	Fault func(step string) error
}

// RemoveReport is the result of Remove.
type RemoveReport struct {
	Archive string
	DryRun  bool
	Removed []RemovedSnapshot
	// Skipped are pinned or in use, and stay.
	Skipped []SkippedSnapshot
	// Unlinked counts the names of files and folders removed, including leftovers of an earlier removal.
	Unlinked uint64
	// Freed is the result of RemoveOptions.Freed.
	Freed *uint64
	// Unfinished lists failures after the snapshots were gone; the next run repeats these steps.
	Unfinished []error
	// Postponed lists failures to write derived files for lack of space. The next run makes these files anew.
	Postponed []error
	// Recovered has a sentence for each piece of work of interrupted runs and removals that Remove finished first: the
	// same ones as in Report.
	Recovered []string
	Start     time.Time
	End       time.Time
}

// RemovedSnapshot describes a removed snapshot. If its catalog could not be read, the figures are 0.
type RemovedSnapshot struct {
	Name       string
	Files      uint64
	Dirs       uint64
	Bytes      uint64 // of its files; other snapshots may have most of them, too
	Incomplete bool
}

// SkippedSnapshot is a snapshot that stays because it is pinned, or needed by a reader, or, with neither Pin nor
// Reader, because a process reads it.
type SkippedSnapshot struct {
	Name   string
	Pin    *Pin
	Reader *Reader
	Note   string // the path of the reader's note
}

// Remove removes snapshots, by their names. Each is removed as a whole, by a single rename into the trash: at any
// moment it either exists completely or not at all, and no other snapshot changes. Remove renames all of them first;
// then it takes them out of the content-hash index, releases the lock, and empties the trash. If it is interrupted, by
// ctx or by the end of the process, the next Remove or run goes on.
//
// Snapshots that are pinned, or that a reader protects by a note (Reader) or a Hold, are skipped. Remove fails with
// ErrNoSnapshot, and removes nothing, if one of the names is no snapshot, and with ErrLastComplete if no complete
// snapshot would be left. With an error Remove also returns a report, unless there is nothing to report.
func (a *Archive) Remove(ctx context.Context, names []string, opt RemoveOptions) (*RemoveReport, error) {
	if opt.Progress == nil {
		opt.Progress = new(Progress)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	a.Now = opt.Now
	rm := &removal{ctx: ctx, archive: a, opt: opt, step: opt.Fault,
		report: &RemoveReport{Archive: a.Path, DryRun: opt.DryRun, Removed: []RemovedSnapshot{}, Start: opt.Now().UTC()}}
	err := rm.takeAway(names)
	if err == nil && !opt.DryRun {
		err = rm.empty()
	}
	rm.report.End = opt.Now().UTC()
	return rm.report, err
}

// removal is the state of one Remove.
type removal struct {
	ctx     context.Context
	archive *Archive
	locked  *Locked // nil in a dry run
	opt     RemoveOptions
	step    stepper
	report  *RemoveReport
	all     []Snapshot
	holds   []*Hold
	lacking bool // space for a file that was to be written
	// Snapshots to be removed of which only the catalog is left.
	noFolder []string
}

// takeAway does all steps that need the lock. Afterwards the snapshots are gone.
func (rm *removal) takeAway(names []string) (err error) {
	if !rm.opt.DryRun {
		lock, lockErr := rm.archive.Lock()
		if lockErr != nil {
			return lockErr
		}
		defer func() { err = errors.Join(err, lock.Unlock()) }()
		rm.locked = lock
		if rm.report.Recovered, err = rm.locked.tidy(rm.ctx); err != nil {
			return err
		}
		if err := rm.orLater(rm.complete()); err != nil {
			return err
		}
		defer func() { err = rm.afterwards(err) }()
		if rm.opt.Check != nil {
			if err := rm.opt.Check(); err != nil {
				return err
			}
		}
	}
	defer func() { err = errors.Join(err, rm.release()) }()
	chosen, err := rm.choose(names)
	if err != nil {
		return err
	}
	if err := rm.leavesEnough(chosen); err != nil {
		return err
	}
	if err := rm.describe(chosen); err != nil {
		return err
	}
	if rm.opt.DryRun || len(chosen) == 0 {
		return nil
	}
	return rm.move(chosen)
}

func (rm *removal) release() error {
	var errs []error
	for _, h := range rm.holds {
		errs = append(errs, h.Release())
	}
	return errors.Join(errs...)
}

// choose finds the snapshots, oldest first, and leaves out those in use. From then on no new reader can take a hold of
// one.
func (rm *removal) choose(names []string) (chosen []Snapshot, err error) {
	if rm.all, err = rm.archive.Snapshots(); err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(rm.all, func(s Snapshot) bool { return s.Name == name })
		var s Snapshot
		if i >= 0 {
			s = rm.all[i]
		} else if s, err = rm.findLost(name); err != nil {
			return nil, err
		}
		if !slices.Contains(chosen, s) {
			chosen = append(chosen, s)
		}
	}
	slices.SortFunc(chosen, func(x, y Snapshot) int { return strings.Compare(x.Name, y.Name) })
	if chosen, err = rm.leaveOutPinned(chosen); err != nil {
		return nil, err
	}
	return rm.leaveOutUsed(chosen)
}

// findLost finds a snapshot of which only a part is left.
func (rm *removal) findLost(name string) (Snapshot, error) {
	s, why, err := rm.archive.lost(name)
	switch {
	case err != nil:
		return s, err
	case why == nil:
		return s, fmt.Errorf("%w: %q", ErrNoSnapshot, name)
	case errors.Is(why, ErrNoFolder):
		rm.noFolder = append(rm.noFolder, name)
	}
	return s, nil
}

func (rm *removal) leaveOutPinned(chosen []Snapshot) ([]Snapshot, error) {
	pins, err := rm.archive.Pins()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(chosen, func(s Snapshot) bool {
		pin, pinned := pins[s.Name]
		if pinned {
			rm.report.Skipped = append(rm.report.Skipped, SkippedSnapshot{Name: s.Name, Pin: &pin})
		}
		return pinned
	}), nil
}

func (rm *removal) leaveOutUsed(chosen []Snapshot) (free []Snapshot, err error) {
	patience := holdPatience
	for _, s := range chosen {
		begin := time.Now()
		hold, err := s.holdAlone(rm.ctx, patience)
		patience -= time.Since(begin)
		if err != nil {
			return nil, err
		}
		if hold == nil {
			rm.report.Skipped = append(rm.report.Skipped, SkippedSnapshot{Name: s.Name})
			continue
		}
		rm.holds = append(rm.holds, hold)
		free = append(free, s)
	}
	readers, err := rm.archive.Readers.All() // a process that writes a note has a hold meanwhile
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(free, func(s Snapshot) bool {
		for _, r := range readers {
			if r.Snapshot == s.Name {
				rm.report.Skipped = append(rm.report.Skipped, rm.archive.Readers.needed(&r))
				return true
			}
		}
		return false
	}), nil
}

// leavesEnough checks that a good snapshot is left, of the archive and of each source that loses a snapshot.
func (rm *removal) leavesEnough(chosen []Snapshot) error {
	if rm.opt.AllowLast || len(chosen) == len(rm.noFolder) {
		return nil
	}
	judge, err := rm.archive.Judge()
	if err != nil {
		return fmt.Errorf("remove from %s: %w", rm.archive.Path, err)
	}
	goes, left := make(map[SourceID]bool), make(map[SourceID]bool)
	for _, s := range rm.all {
		st, ok, err := judge.standing(s)
		switch {
		case err != nil || !ok || !st.isGood(rm.opt.CountIncomplete): // not one to rely on
		case slices.Contains(chosen, s):
			goes[st.Source()] = true
		default:
			left[st.Source()] = true
		}
	}
	for source := range goes {
		if !left[source] && len(left) > 0 {
			return fmt.Errorf("remove from %s: %w of %s", rm.archive.Path, ErrLastComplete, source.Path)
		}
	}
	if len(left) == 0 {
		return fmt.Errorf("remove from %s: %w", rm.archive.Path, ErrLastComplete)
	}
	return nil
}

// describe records the snapshots to be removed in the report, and the amount of work.
func (rm *removal) describe(chosen []Snapshot) error {
	var names []string
	for _, s := range chosen {
		v := RemovedSnapshot{Name: s.Name}
		c, err := s.OpenCatalog()
		if err == nil {
			counts := c.Summary().Counts
			v.Files, v.Dirs, v.Bytes, v.Incomplete = counts.Files, counts.Dirs, counts.BytesTotal, c.Summary().Incomplete
			err = c.Close()
		} else if !errors.Is(err, index.ErrNewer) { // a damaged snapshot can be removed
			err = nil
		}
		if err != nil {
			return fmt.Errorf("catalog of %s: %w", s.Name, err)
		}
		names = append(names, s.Name)
		rm.report.Removed = append(rm.report.Removed, v)
	}
	if rm.opt.Freed != nil && len(names) > 0 {
		if bytes, known := rm.opt.Freed(rm.ctx, names); known {
			rm.report.Freed = &bytes
		}
	}
	return nil
}

// move moves the snapshots into the trash, one by one, and then their catalogs and reports. First it points "latest"
// at a snapshot that stays, so that the link never dangles.
func (rm *removal) move(chosen []Snapshot) (err error) {
	if rm.ctx.Err() != nil {
		rm.report.Removed = rm.report.Removed[:0]
		return context.Cause(rm.ctx)
	}
	trash, err := rm.archive.Trash.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
	err = rm.orLater(rm.moveLatest(chosen))
	moved := 0
	for _, s := range chosen {
		if err != nil {
			break
		}
		if err = rm.takeOne(trash, s.Name); err != nil {
			err = &fs.PathError{Op: "remove", Path: filepath.Join(rm.archive.Path, s.Name), Err: err}
			break
		}
		moved++
	}
	rm.report.Removed = rm.report.Removed[:moved]
	if fault.IsCrash(err) {
		return err
	}
	if err != nil {
		err = errors.Join(err, rm.orLater(rm.locked.mendLatest()))
	}
	finishErr := rm.finishLeaving(trash)
	if finishErr == nil {
		finishErr = rm.locked.dropStalePins()
	}
	return errors.Join(err, finishErr)
}

// takeOne moves one snapshot into the trash. If there is no space for its name there, takeOne empties the trash and
// removes derived files; if even that does not help, it removes the snapshot in its place.
func (rm *removal) takeOne(trash *openTrash, name string) error {
	a := rm.locked
	err := trash.take(a.Root, name, rm.step)
	if errors.Is(err, fs.ErrNotExist) && slices.Contains(rm.noFolder, name) {
		return trash.takeLost(name, rm.step)
	}
	if !fsat.IsNoSpace(err) {
		return err
	}
	rm.lacking = true
	if err := rm.finishLeaving(trash); err != nil {
		return err
	}
	err = a.withRoom(rm.ctx, func() error { return trash.take(a.Root, name, rm.step) })
	if fsat.IsNoSpace(err) {
		return a.removeInPlace(rm.ctx, trash, name, rm.emptying(), rm.step)
	}
	return err
}

func (rm *removal) finishLeaving(trash *openTrash) error {
	done, indexErr, err := rm.locked.finishLeaving(rm.ctx, trash, rm.step)
	if err == nil && len(done) == 0 && len(rm.noFolder) > 0 { // nothing but records went
		if err = trash.syncRecords(); err == nil {
			indexErr = rm.locked.forget(rm.ctx)
		}
	}
	if indexErr = rm.orLater(indexErr); indexErr != nil {
		rm.report.Unfinished = append(rm.report.Unfinished, fmt.Errorf("%w: %w", ErrIndex, indexErr))
	}
	return err
}

func (rm *removal) complete() error {
	did, err := rm.locked.complete(rm.ctx)
	rm.report.Recovered = append(rm.report.Recovered, did...)
	return err
}

// orLater returns an error, unless it is a lack of space: then the failed step is repeated when the trash is empty.
func (rm *removal) orLater(err error) error {
	if err == nil || !fsat.IsNoSpace(err) {
		return err
	}
	rm.lacking = true
	return nil
}

// afterwards repeats the steps that lacked space. Since a run could not begin for the same reason, it empties the
// trash before the lock is released.
func (rm *removal) afterwards(err error) error {
	if err != nil || !rm.lacking {
		return err
	}
	if err := rm.empty(); err != nil {
		return err
	}
	if err := rm.archive.SyncFreed(); err != nil {
		return err
	}
	if err := rm.locked.forget(rm.ctx); err != nil {
		if !fsat.IsNoSpace(err) {
			return fmt.Errorf("content-hash index: %w", err)
		}
		if err := rm.locked.dropDerived(); err != nil { // it knows what is gone, and is of no use
			return err
		}
		rm.report.Postponed = append(rm.report.Postponed, fmt.Errorf("%w: %w", ErrIndex, err))
	}
	err = rm.complete()
	if err != nil && fsat.IsNoSpace(err) {
		rm.report.Unfinished = append(rm.report.Unfinished, err)
		return nil
	}
	return err
}

// moveLatest points "latest" at the remaining snapshot before its present target, or, if there is none, at the newest
// remaining one.
func (rm *removal) moveLatest(chosen []Snapshot) error {
	isChosen := func(name string) bool {
		return slices.ContainsFunc(chosen, func(s Snapshot) bool { return s.Name == name })
	}
	if !isChosen(rm.archive.Latest()) {
		return nil
	}
	if err := rm.step.at(LatestLink); err != nil {
		return err
	}
	stay := slices.DeleteFunc(slices.Clone(rm.all), func(s Snapshot) bool { return isChosen(s.Name) })
	newest := ""
	if len(stay) > 0 {
		newest = stay[len(stay)-1].Name
	}
	for _, s := range stay {
		if s.Name < rm.archive.Latest() {
			newest = s.Name
		}
	}
	return rm.locked.latest.point(newest, true)
}

// empty empties the trash.
func (rm *removal) empty() error {
	if err := rm.step.at("empty"); err != nil {
		return err
	}
	p := rm.opt.Progress
	p.Phase.Store(int32(Emptying))
	p.ExpectFiles.Store(rm.archive.Trash.names())
	err := rm.archive.Trash.empty(rm.ctx, rm.emptying())
	rm.report.Unlinked = p.Files.Load()
	p.Phase.Store(int32(Finished))
	return err
}

func (rm *removal) emptying() emptying {
	return emptying{
		threads: rm.opt.Threads, rate: rm.opt.Rate, idle: rm.opt.BackgroundIO, wait: true,
		removed: func(n int) { rm.opt.Progress.Files.Add(uint64(n)) },
	}
}
