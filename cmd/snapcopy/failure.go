package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/history"
	"snapcopy/internal/inside"
	"snapcopy/internal/lack"
	"snapcopy/internal/lookup"
	"snapcopy/internal/overlay"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
	"snapcopy/repair"
	"snapcopy/restore"
	"snapcopy/restore/instant"
	"snapcopy/snapshot"
)

// The exit statuses. A crash of the Go runtime gives 2.
const (
	statusDone        = 0
	statusFailed      = 1
	statusIncomplete  = 3
	statusDamage      = 4
	statusLocked      = 5
	statusTripwire    = 6
	statusNoSpace     = 7
	statusTooOld      = 8
	statusUsage       = 64
	statusInterrupted = 130
)

// A status is the line of a help text about an exit status.
type status struct {
	code int
	text string
}

var (
	mayBeDone        = status{statusDone, "done"}
	mayFail          = status{statusFailed, "failed"}
	mayNotPublish    = status{statusFailed, "failed, nothing was published"}
	mayBeIncomplete  = status{statusIncomplete, "done, but incomplete: some entries failed and are listed"}
	mayPublishInPart = status{statusIncomplete, "published, but incomplete: some entries failed and are listed"}
	mayLeaveSome     = status{statusIncomplete, "done, but incomplete: some entries failed, or snapshots are in use and stay; they are listed"}
	mayLookWrong     = status{statusTripwire, "a run looks wrong: nothing is pruned until it is acknowledged"}
	mayFindDamage    = status{statusDamage, "damage found"}
	mayFindAltered   = status{statusDamage, "published, but stored files of earlier snapshots were altered, or files of SOURCE are damaged"}
	mayBeLocked      = status{statusLocked, "another process is writing to the archive"}
	mayBeWorkedOn    = status{statusLocked, "another process is working on the mountpoint"}
	mayTrip          = status{statusTripwire, "published, but the run looks wrong: nothing is pruned until it is acknowledged"}
	mayLackSpace     = status{statusNoSpace, "no space left"}
	mayKnowDamage    = status{statusDamage, "damage is known"}
	mayBeTooOld      = status{statusTooOld, "the latest snapshot of a source is older than --max-age"}
	mayBeMisused     = status{statusUsage, "wrong usage"}
	mayBeInterrupted = status{statusInterrupted, "interrupted"}
)

// statusHelp is the part of a help text that lists exit statuses.
func statusHelp(list ...status) string {
	var b strings.Builder
	for _, s := range append(list, mayBeMisused, mayBeInterrupted) {
		fmt.Fprintf(&b, "  %-4d %s\n", s.code, s.text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// usageError is a mistake in the command line.
type usageError struct {
	command string // whose help to read, "snapcopy ls"; set on the way out
	err     error
	hint    string // the right words to type; "": read the help
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func wrongUsage(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// told is an outcome that the command has already put into words; only the exit status is left.
type told struct{ status int }

func (t told) Error() string { return fmt.Sprintf("exit status %d", t.status) }

// statusOf is the one place where errors become exit statuses.
func statusOf(err error) int {
	var usage *usageError
	var t told
	switch {
	case err == nil:
		return statusDone
	case errors.As(err, &usage):
		return statusUsage
	case errors.As(err, &t):
		return t.status
	case errors.Is(err, context.Canceled):
		return statusInterrupted
	case errors.Is(err, archive.ErrLocked), errors.Is(err, instant.ErrLocked):
		return statusLocked
	case fsat.IsNoSpace(err):
		return statusNoSpace
	case errors.Is(err, index.ErrDamagedData):
		return statusDamage
	}
	return statusFailed
}

// hints are the next steps for some errors.
var hints = []struct {
	err  error
	hint string
}{
	{errFrom, "is its disk mounted? --from takes the path of another archive that has the content"},
	{archive.ErrReaderNote, "if no instant restore needs a snapshot any more, remove that file"},
	{archive.ErrUnreachable, "mount its disk again, or put the folder back, and give the command again"},
	{archive.ErrReadOnly, "see in the system's log (dmesg) why, and check the disk; when it is mounted for writing again " +
		"(`mount -o remount,rw`), give the command again"},
	{archive.ErrRecord, "remove it: nothing else needs that record"},
	{plainfile.ErrKind, "move it elsewhere, put the right file or folder back from a copy if there is one, and give the command again"},
	{archive.ErrNoRecords, "put it back from a copy; without one, use the snapshots as the plain folders that they are, and " +
		"begin a new archive in another folder"},
	{archive.ErrNotArchive, "choose an archive, or a new or empty folder to make one in"},
	{archive.ErrNoArchive, "is its disk mounted? `snapcopy snapshot SOURCE ARCHIVE` makes a new archive"},
	{rmtree.ErrOthers, "run the same command once as that user, or as root (sudo)"},
	{archive.ErrNoAccess, "use an archive of your own, such as ~/backup, or run the command as the user whose archive it is (sudo?)"},
	{index.ErrDamaged, "the files of that snapshot can be copied as they are; `snapcopy catalog rebuild ARCHIVE@SNAPSHOT` makes its catalog anew"},
	{repair.ErrCatalogSound, "nothing is to be done; `snapcopy verify ARCHIVE` looks for other damage"},
	{archive.ErrNewerFormat, "install the newest version of snapcopy; this one changes nothing there"},
	{index.ErrNewer, "install the newest version of snapcopy; this one changes nothing there"},
	{archive.ErrLocked, "try again when that process has ended, or wait for it: --lock-wait 10m; a lock never outlives its process"},
	{archive.ErrNoHardLinks, "choose another file system, or --allow-copies to store every snapshot as a full copy"},
	{snapshot.ErrInsideArchive, "choose an archive that does not contain the source"},
	{archive.ErrInsideOther, "choose another folder: a snapshot must stay as it is"},
	{inside.ErrTarget, "choose a folder outside the archive"},
	{restore.ErrNoRoom, "make room, restore to another disk, or begin all the same with --ignore-space"},
	{lookup.ErrSameName, "restore them one after the other, each into a folder of its own"},
	{restore.ErrMountsBelow, "unmount it first, or restore with --in-place, which leaves mounted file systems alone"},
	{errNotInSnapshot, "`snapcopy ls ARCHIVE@SNAPSHOT` lists the top of the snapshot"},
	{restore.ErrNotFile, "`snapcopy ls ARCHIVE@SNAPSHOT PATH` lists a folder, `snapcopy restore` brings back anything"},
	{archive.ErrNoSnapshot, "`snapcopy list ARCHIVE` lists the snapshots"},
	{archive.ErrInNoSnapshot, "`snapcopy find ARCHIVE NAME` searches all snapshots for a name"},
	{instant.ErrNotInstant, "give the MOUNTPOINT that `snapcopy instant` was given; a settled folder needs nothing more"},
	{instant.ErrLocked, "try again when that process, `snapcopy instant` or `snapcopy settle`, has ended; a lock never outlives its process"},
	{instant.ErrMounted, "`snapcopy settle MOUNTPOINT` turns it into an ordinary folder"},
	{instant.ErrSettling, "`snapcopy settle MOUNTPOINT` finishes that"},
	{instant.ErrOtherSnapshot, "settle it first, or choose another mountpoint"},
	{instant.ErrNotEmpty, "move its content elsewhere; files written there while nothing is mounted are not in the tree"},
	{instant.ErrUnsuitable, "choose another mountpoint, or copy the snapshot: `snapcopy restore ARCHIVE@SNAPSHOT --to DIR`"},
	{instant.ErrBusy, "end these processes, or let them leave the folder, and settle again: nothing is left to copy"},
	{overlay.ErrInUse, "a process still has files open there, or it is mounted in another mount namespace, too"},
	{overlay.ErrOtherLower, "use the archive that was used before, and not a copy of it"},
	{overlay.ErrNotPermitted, "run it as root, or in a user namespace with a mount namespace (`unshare -Urm`)"},
	{errArchiveAway, "is its disk mounted? If it is elsewhere now: `snapcopy instant ARCHIVE@SNAPSHOT MOUNTPOINT`"},
	{archive.ErrLastComplete, "--allow-last removes it all the same; with --count-incomplete it is enough if an incomplete snapshot is left"},
	{fsat.ErrNoProc, "`mount -t proc proc /proc`, or run it where /proc is mounted"},
	{snapshot.ErrNoSource, "is its disk mounted, or was the folder moved? Every earlier snapshot is as it was"},
	{snapshot.ErrNotMountPoint, "mount it, or leave out --source-is-mount if it is to be a plain folder; every earlier snapshot is as it was"},
	{snapshot.ErrNothingStored, "is the source mounted, and may you read it? Every earlier snapshot is as it was"},
	{snapshot.ErrClock, "set the clock right. If it is right, `snapcopy remove ARCHIVE SNAPSHOT` removes the snapshots made " +
		"while it was wrong, and --allow-clock-back takes the new snapshot under its own time all the same"},
}

func hintFor(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	var parent *archive.NoParentError
	if errors.As(err, &parent) {
		return fmt.Sprintf("is its disk mounted? If so, make that folder first: `mkdir -p %s`", shellWord(parent.Parent))
	}
	if namesNoPath(err) {
		return "`snapcopy ls ARCHIVE@SNAPSHOT` lists a folder, `snapcopy find ARCHIVE NAME` searches all snapshots for a name"
	}
	return ""
}

// namesNoPath reports whether an error is about a missing path, and proposes no other path or snapshot.
func namesNoPath(err error) bool {
	var missing *lookup.NotFoundError
	var elsewhere *history.NotFoundError
	var nowhere *history.NowhereError
	if errors.As(err, &elsewhere) && elsewhere.Elsewhere != nil {
		return false
	}
	return errors.As(err, &missing) && len(missing.Nearest) == 0 || errors.As(err, &nowhere) && len(nowhere.Nearest) == 0
}

// spaceError is a restore.SpaceError with sizes for people.
type spaceError struct{ *restore.SpaceError }

func (e spaceError) Error() string {
	return fmt.Sprintf("%s has %s free, and the files to be restored take %s", e.Target, size(e.Free), size(e.Need))
}

func (e spaceError) Unwrap() error { return e.SpaceError }

// sayInterrupted replaces a cancellation by the signal that caused it.
func sayInterrupted(ctx context.Context, err error) error {
	var signal interrupted
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) || errors.As(err, &signal) {
		return err
	}
	return errors.Join(context.Cause(ctx), besideCancel(err))
}

// besideCancel drops the cancellation from several joined errors.
func besideCancel(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range j.Unwrap() {
			rest = append(rest, besideCancel(e))
		}
		return errors.Join(rest...)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// finish puts the outcome of a command into words and returns the exit status.
func finish(a *app, err error) int {
	if flushErr := a.term.flush(); flushErr != nil && err == nil {
		err = fmt.Errorf("write output: %w", flushErr)
	}
	status := statusOf(err)
	var t told
	if err == nil || errors.As(err, &t) {
		return status
	}
	if a.archive != "" && !errors.As(err, new(*snapshot.NoRoomError)) {
		err = lack.Explain(err, a.archive)
	}
	lines := errorLines(err)
	var full *lack.Error
	if errors.As(err, &full) {
		lines = append(lines, lackText(full))
	}
	hints := a.hintsOn(err, full)
	if status == statusUsage {
		a.term.subject = subject{} // it is about the command line
	}
	for i := range lines {
		lines[i] = a.term.subject.of(lines[i])
	}
	for i := range hints {
		hints[i] = a.term.subject.typed(hints[i])
	}
	if a.json && a.tellJSON("error", errorObject{status, strings.Join(lines, "\n"), strings.Join(hints, "; ")}) == nil {
		return status
	}
	for _, line := range lines {
		a.term.errorf("snapcopy: %s", line)
	}
	for _, hint := range hints {
		a.term.errorf("Hint: %s.", hint)
	}
	return status
}

// hintsOn returns the next steps for an error. full describes the lack of space, if that is its cause.
func (a *app) hintsOn(err error, full *lack.Error) (hints []string) {
	var usage *usageError
	isUsage := errors.As(err, &usage)
	switch hint := hintFor(err); {
	case isUsage && usage.hint != "":
		return []string{usage.hint}
	case hint != "":
		hints = append(hints, hint)
	case errors.Is(err, tree.ErrDamaged) && a.term.subject.what == "archive":
		hints = append(hints, repairHint(a.term.subject.path))
	case (full != nil || errors.As(err, new(*snapshot.NoRoomError))) && a.archive != "" && !a.makesRoom:
		hints = append(hints, roomHint(a.archive))
	}
	if isUsage {
		hints = append(hints, fmt.Sprintf("`%s --help` explains how to use it", cmp.Or(usage.command, "snapcopy")))
	}
	return hints
}

// repairHint is the next step after a damaged stored file of an archive was met.
func repairHint(archive string) string {
	return fmt.Sprintf("`snapcopy repair %s` mends what another snapshot or the source has whole", shellWord(archive))
}

// errorLines makes an error safe to print: one line for each of several joined errors, also if they were wrapped,
// without bytes of a name that could control the terminal.
func errorLines(err error) []string {
	text := err.Error()
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		list := e.Unwrap()
		texts := make([]string, len(list))
		for i, e := range list {
			texts[i] = e.Error()
		}
		if text != strings.Join(texts, "\n") {
			break
		}
		var lines []string
		for _, e := range list {
			lines = append(lines, errorLines(e)...)
		}
		return lines
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		if inner == nil {
			break
		}
		before, after, found := strings.Cut(text, inner.Error())
		if lines := errorLines(inner); found && len(lines) > 1 {
			for i := range lines {
				lines[i] = printable(before) + lines[i]
			}
			return append(lines, linesOf(after)...)
		}
	}
	return []string{printable(text)}
}

// linesOf returns the text after several errors: "and 7 more".
func linesOf(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			lines = append(lines, printable(line))
		}
	}
	return lines
}

// lackText describes the lack of space on a file system.
func lackText(e *lack.Error) string {
	disk := fmt.Sprintf("the disk mounted at %s (%s)", name(e.Mount), e.Space.Kind)
	switch e.What {
	case lack.Quota:
		return "the quota on " + disk + " is used up"
	case lack.Inodes:
		return fmt.Sprintf("%s has no inode left for another file: %s of %s are free", disk, count(e.Space.FreeInodes),
			count(e.Space.Inodes))
	case lack.Records:
		return fmt.Sprintf("%s has %s free, but no room for records of its own (metadata)", disk, size(e.Space.Free))
	}
	inodes := ""
	if e.Space.Inodes > 0 {
		inodes = fmt.Sprintf(", and %s of %s inodes", count(e.Space.FreeInodes), count(e.Space.Inodes))
	}
	return fmt.Sprintf("%s is full: %s of %s are free now%s", disk, size(e.Space.Free), size(e.Space.Total), inodes)
}

// placed adds a place to an error of the system without a path, in a command without an archive among its arguments:
// others have a subject.
func (a *app) placed(args []string, err error) error {
	if a.term.subject.path != "" {
		return err
	}
	if list, isJoin := joined(err); isJoin {
		rest := make([]error, len(list))
		for i, e := range list {
			rest[i] = a.placed(args, e)
		}
		return errors.Join(rest...)
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || strings.ContainsAny(err.Error(), `/\\`) {
		return err
	}
	var named *fs.PathError
	if errors.As(err, &named) && slices.Contains(args, named.Path) { // as the person typed it
		return err
	}
	place := a.archive
	switch {
	case place != "":
	case len(a.opened) > 0:
		place = a.opened[0].Path
	case len(args) > 0:
		place = args[len(args)-1]
	}
	if abs, absErr := filepath.Abs(place); absErr == nil {
		place = abs
	}
	return fmt.Errorf("%s: %w", place, err)
}

// joined returns the parts of an error made by errors.Join.
func joined(err error) (list []error, ok bool) {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	list = j.Unwrap()
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.Error()
	}
	return list, err.Error() == strings.Join(texts, "\n")
}
