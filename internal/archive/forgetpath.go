package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/jsonfile"
)

// ErrInNoSnapshot reports a path that is in no snapshot.
var ErrInNoSnapshot = errors.New("it is in no snapshot")

// ForgetOptions are the options of ForgetPath.
type ForgetOptions struct {
	DryRun bool // look and tell; change nothing
	// Elsewhere, if set, is called for each other name with the same content, before the path is forgotten.
	Elsewhere func(Elsewhere) error
	Threads   int // as in RemoveOptions
	Progress  *Progress
	Now       func() time.Time
	Fault     func(step string) error
}

// ForgetReport is the result of ForgetPath.
type ForgetReport struct {
	Path      string
	DryRun    bool
	Forgotten []ForgottenFrom
	Skipped   []SkippedSnapshot // in use; they still have it
	Elsewhere uint64            // names of files with the same content that stay
	// Unfinished, set by ForgetMeant, is the path that remains to be forgotten.
	Unfinished string
}

// ForgottenFrom is a snapshot from which the path was taken, with the totals of the entries there.
type ForgottenFrom struct {
	Snapshot string
	Below    index.Totals
}

// forgetFile is the note of an unfinished ForgetPath. While it exists, Recover goes on with forgetting.
const forgetFile = "forget.json"

type forgetNote struct {
	Archive   string   `json:"archive_id"`
	Path      []byte   `json:"path_base64"`
	Snapshots []string `json:"snapshots"`
}

// ForgetPath takes a path, elements joined by '/', and all below it out of every snapshot: out of its folder, its
// catalog and its run report. It is the one exception to the rule that a published snapshot never changes, for content
// that must not be kept. Nothing else in a snapshot changes, not even the times of the folder that contained the path.
// It can be interrupted at any moment: the next process with the lock goes on.
//
// ForgetPath fails with ErrInNoSnapshot if no snapshot has the path, unless it just finished an earlier ForgetPath of
// the same path. Snapshots in use are skipped. When it returns without an error, the trash does not contain the path
// either.
func (a *Archive) ForgetPath(ctx context.Context, path string, opt ForgetOptions) (report *ForgetReport, err error) {
	if path == "" || slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return nil, fmt.Errorf("forget %q: not the path of something in a snapshot", path)
	}
	f := forgetting{ctx: ctx, archive: a, opt: opt, step: opt.Fault, report: &ForgetReport{Path: path, DryRun: opt.DryRun}}
	err = f.all()
	if opt.DryRun || err != nil && !errors.Is(err, ErrInNoSnapshot) {
		return f.report, err
	}
	how := emptying{threads: opt.Threads, wait: true}
	if p := opt.Progress; p != nil {
		p.Phase.Store(int32(Emptying))
		how.removed = func(n int) { p.Files.Add(uint64(n)) }
	}
	return f.report, errors.Join(err, a.Trash.empty(ctx, how))
}

// Forgetting returns the path of an unfinished ForgetPath; ok is false if there is none, or if its note is unreadable:
// that must not stop other work, and Findings reports it.
func (a *Archive) Forgetting() (path string, ok bool) {
	note, err := a.readForgetNote()
	if err != nil {
		return "", false
	}
	return string(note.Path), true
}

// forgetting is the state of one ForgetPath.
type forgetting struct {
	ctx     context.Context
	archive *Archive
	opt     ForgetOptions
	step    stepper
	report  *ForgetReport
}

// all does all steps that need the lock.
func (f *forgetting) all() (err error) {
	begun, _ := f.archive.Forgetting()
	if f.opt.DryRun {
		_, err := f.find("")
		return err
	}
	lock, err := f.archive.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if _, err := lock.Recover(f.ctx); err != nil {
		return err
	}
	names, err := f.find(begun)
	if err != nil || len(names) == 0 {
		return err
	}
	return f.forgetIn(lock, names)
}

// find returns the snapshots from which the path is to be taken, and reports the other names with its content. finished
// is the path that Recover has just finished forgetting, if any: it is no error that no snapshot has that one.
func (f *forgetting) find(finished string) (names []string, err error) {
	snapshots, err := f.archive.Snapshots()
	if err != nil {
		return nil, err
	}
	if names, err = f.choose(snapshots); err != nil {
		return nil, err
	}
	if err := f.dropUnreadableNote(); err != nil {
		return nil, err
	}
	if len(f.report.Forgotten)+len(f.report.Skipped) == 0 {
		if finished == f.report.Path {
			return nil, nil
		}
		return nil, fmt.Errorf("forget %q: %w", f.report.Path, ErrInNoSnapshot)
	}
	return names, f.findElsewhere(snapshots)
}

// forgetIn takes the path out of snapshots, under a note by which the next process goes on after an interruption.
func (f *forgetting) forgetIn(lock *Locked, names []string) error {
	if err := f.step.at("note of the path"); err != nil {
		return err
	}
	note := forgetNote{Archive: lock.Info.ID, Path: []byte(f.report.Path), Snapshots: names}
	if err := lock.withRoom(f.ctx, func() error { return jsonfile.Write(lock.Meta.Path(forgetFile), note) }); err != nil {
		return err
	}
	return lock.forgetAll(f.ctx, f.step, note)
}

// dropUnreadableNote removes an unreadable note if no snapshot has the path: the person who repeats the command then
// learns that the work is done. Otherwise the new note replaces the unreadable one.
func (f *forgetting) dropUnreadableNote() error {
	_, err := f.archive.readForgetNote()
	if couldNotLook(err) {
		return err
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) || f.opt.DryRun {
		return nil
	}
	if len(f.report.Forgotten)+len(f.report.Skipped) > 0 {
		return nil
	}
	return errors.Join(os.Remove(f.archive.Meta.Path(forgetFile)), atomicfile.SyncDir(f.archive.Meta.Path()))
}

// choose returns the snapshots that have the path and are not in use.
func (f *forgetting) choose(snapshots []Snapshot) (names []string, err error) {
	readers, err := f.archive.Readers.All()
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		c, err := s.OpenCatalog()
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
		e, found, err := c.Lookup(f.report.Path)
		if err = errors.Join(err, c.Close()); err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
		if !found {
			continue
		}
		skip, err := f.archive.inUse(f.ctx, s, readers)
		if err != nil {
			return nil, err
		}
		if skip != nil {
			f.report.Skipped = append(f.report.Skipped, *skip)
			continue
		}
		var below index.Totals
		if e.Type == index.Dir {
			below = e.Below
			below.Dirs++
		} else {
			below = index.Totals{Files: 1, Bytes: e.Size}
		}
		f.report.Forgotten = append(f.report.Forgotten, ForgottenFrom{s.Name, below})
		names = append(names, s.Name)
	}
	return names, nil
}

// inUse reports that a reader needs a snapshot, or a process reads it; nil: neither.
func (a *Archive) inUse(ctx context.Context, s Snapshot, readers []Reader) (*SkippedSnapshot, error) {
	for _, r := range readers {
		if r.Snapshot == s.Name {
			skip := a.Readers.needed(&r)
			return &skip, nil
		}
	}
	hold, err := s.holdAlone(ctx, holdPatience)
	if err != nil {
		return nil, err
	}
	if hold == nil {
		return &SkippedSnapshot{Name: s.Name}, nil
	}
	return nil, hold.Release()
}

// readForgetNote reads the note of an unfinished ForgetPath. Without a note the error wraps fs.ErrNotExist.
func (a *Archive) readForgetNote() (note forgetNote, err error) {
	if err = jsonfile.Read(a.Meta.Path(forgetFile), &note); err == nil {
		err = note.check()
	}
	if err == nil && note.Archive != a.Info.ID {
		err = errOtherArchive
	}
	return note, err
}

// check returns an error if the note cannot be one that ForgetPath has written: nothing outside of a snapshot's folder may
// be reached by it.
func (n *forgetNote) check() error {
	if len(n.Snapshots) == 0 || !isInside(string(n.Path)) || slices.ContainsFunc(n.Snapshots, func(s string) bool { return !IsName(s) }) {
		return errors.New("it names no path in snapshots")
	}
	return nil
}
