package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/tree"
	"snapcopy/internal/verified"
	"snapcopy/internal/walk"
	"snapcopy/internal/workers"
)

// Options are the options of Run.
type Options struct {
	Threads      int
	MetadataOnly bool              // do not read contents
	Progress     *archive.Progress // nil: nobody is watching
	// Damage, if set, is called with each finding, one call at a time.
	Damage func(Damage)
	// Remember makes Run record in the archive what it has read and found, as far as that is possible. Otherwise Run
	// changes nothing.
	Remember bool
	// Share, if set, makes Run read a share of the stored files, the longest unread ones first, and compare the structure
	// of some snapshots, in place of everything. All snapshots have to be given.
	Share *Share
	Now   func() time.Time // for the dates to record; nil: time.Now
}

// Damage is a finding. Path is empty if it concerns a whole snapshot or the archive. Err wraps
// [index.ErrDamagedData] if the finding proves damage, of an entry [tree.ErrDamaged]; otherwise the entry could not be
// looked at.
type Damage struct {
	Snapshot string
	Path     string
	Err      error
}

// Report has the figures of a Run. A stored file that several snapshots share is read once.
type Report struct {
	Snapshots  uint64
	Files      uint64 // names looked at, folders not counted
	Dirs       uint64
	FilesRead  uint64
	BytesRead  uint64
	Damaged    uint64
	Unreadable uint64 // entries not looked at: no permission, no memory, a dead mount
	Forgotten  uint64 // entries in a catalog that an unfinished ForgetPath has removed already

	// Known is the damage that is known at the end, from earlier checks, too. nil: it was not looked up.
	Known *verified.Note
	// Dates sums up when the stored files were last read; nil: it is unknown.
	Dates *verified.Table
	// NotRemembered is the reason why what was read could not be recorded in the archive, or nil.
	NotRemembered error
	// Share has the figures of a Share; nil: everything was read.
	Share *ShareReport
}

// Run compares snapshots with their catalogs, as the package comment describes, and passes each finding to opt.Damage.
// An error means that the check itself could not be carried out; the report then covers the part done so far.
func Run(ctx context.Context, a *archive.Archive, snapshots []archive.Snapshot, opt Options) (*Report, error) {
	if opt.Progress == nil {
		opt.Progress = new(archive.Progress)
	}
	opt.Progress.Phase.Store(int32(archive.Copying))
	if err := fsat.CheckProc(); err != nil {
		return new(Report), err
	}
	v := &verifier{ctx: ctx, archive: a, opt: opt, root: os.Geteuid() == 0, workers: newWorkers(workers.Number(opt.Threads), opt.Progress)}
	ballast := make([]byte, ballastSize)
	defer runtime.KeepAlive(ballast)
	v.read.init()
	v.memory.now = v.now()
	v.found.init(v.memory.now)
	v.forgetting, _ = a.Forgetting() // the archive's findings report an unreadable note
	if err := v.memory.begin(v, snapshots); err != nil {
		return &v.report, err
	}
	err := v.check(snapshots)
	err = errors.Join(err, v.memory.end(v, snapshots))
	opt.Progress.Phase.Store(int32(archive.Finished))
	return &v.report, err
}

// ballastSize is the size of memory that Run holds without using it, so that garbage of that size comes together before it
// is collected. Otherwise collecting takes a twelfth of the processor time for an archive of small files, of which little
// else stays in memory. As the memory is never touched, it takes no room itself.
const ballastSize = 8 << 20

func (v *verifier) now() time.Time {
	if v.opt.Now == nil {
		return time.Now()
	}
	return v.opt.Now()
}

// check is the main part of Run.
func (v *verifier) check(snapshots []archive.Snapshot) error {
	if v.opt.Share != nil {
		return v.share(snapshots)
	}
	v.expect(snapshots)
	for _, s := range slices.Backward(snapshots) {
		if err := v.snapshot(s); err != nil {
			return err
		}
	}
	err := v.wholeArchive(true)
	v.memory.whole = err == nil
	return err
}

type verifier struct {
	ctx     context.Context
	archive *archive.Archive
	opt     Options
	root    bool
	workers []worker

	forgetting string // the path of an unfinished ForgetPath, or ""

	name    string         // of the snapshot being verified
	catalog *index.Catalog // of it
	// anchored says that the inode numbers in the catalog are valid.
	anchored bool
	read     readContents
	found    found
	memory   memory
	dirs     tree.Walk
	used     inodeset.Set // stored files met in this snapshot
	groups   map[groupKey]uint64
	lock     sync.Mutex // of groups, the report and the Damage function
	report   Report
}

func (v *verifier) expect(snapshots []archive.Snapshot) {
	var files, size uint64
	for _, s := range snapshots {
		c, err := s.OpenCatalog()
		if err != nil {
			continue // snapshot reports the error
		}
		counts := c.Summary().Counts
		files += counts.Files
		size = max(size, counts.BytesTotal)
		_ = c.Close() // only read
	}
	v.opt.Progress.ExpectFiles.Store(files)
	v.opt.Progress.ExpectAll.Store(size)
}

func (v *verifier) damage(path string, err error) { v.tell(v.name, path, err, err) }

// tell reports a finding, which consists of parts.
func (v *verifier) tell(snapshot, path string, err error, parts ...error) {
	v.lock.Lock()
	defer v.lock.Unlock()
	if v.isForgotten(path) && errors.Is(err, fs.ErrNotExist) {
		v.report.Forgotten++
		return
	}
	if errors.Is(err, index.ErrDamagedData) {
		v.report.Damaged++
		for _, part := range parts {
			v.found.add(verified.Name{Snapshot: snapshot, Path: path}, part)
		}
	} else {
		v.report.Unreadable++
	}
	if v.opt.Damage != nil {
		v.opt.Damage(Damage{Snapshot: snapshot, Path: path, Err: err})
	}
}

// isForgotten reports whether an unfinished ForgetPath removes the path. A missing entry is then no damage.
func (v *verifier) isForgotten(path string) bool {
	return v.forgetting != "" && (path == v.forgetting || strings.HasPrefix(path, v.forgetting+"/"))
}

// findings reports the errors of one entry: all damage as one finding, and every failure to look as its own.
func (v *verifier) findings(path string, wrong ...error) {
	var damage []error
	for _, err := range wrong {
		switch {
		case err == nil:
		case errors.Is(err, index.ErrDamagedData):
			damage = append(damage, err)
		default:
			v.damage(path, err)
		}
	}
	if len(damage) > 0 {
		v.tell(v.name, path, joinDamage(damage), damage...)
	}
}

// snapshot verifies one snapshot.
func (v *verifier) snapshot(s archive.Snapshot) (err error) {
	v.name = s.Name
	hold, err := s.Hold()
	if errors.Is(err, archive.ErrNoSnapshot) { // removed since it was listed
		return nil
	}
	if err == nil {
		defer func() { err = errors.Join(err, hold.Release()) }()
	}
	v.report.Snapshots++
	c, err := index.Open(s.CatalogPath) // its error says why the snapshot could not be held; the name is compared below
	if err == nil {
		if err = c.Check(v.ctx); err != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	if err != nil {
		v.damage("", ofArchive.catalogFailed(err))
		return nil
	}
	v.catalog, v.anchored = c, c.Summary().Anchor == v.archive.Anchor
	if c.Summary().Snapshot != s.Name { // its inode numbers are those of files that are not read here
		v.anchored = false
		v.damage("", ofArchive.damagef("the catalog is that of snapshot %q", c.Summary().Snapshot))
	}
	v.used, v.groups = inodeset.Set{}, make(map[groupKey]uint64)
	if err = errors.Join(v.tree(), c.Close()); err == nil {
		v.memory.compared = append(v.memory.compared, s.Name)
	}
	return err
}

func (v *verifier) tree() error {
	root := v.catalog.Root()
	fd, err := fsat.OpenDir(v.archive.Root, v.name)
	if err != nil {
		v.damage("", ofEntry.lookFailed("open", err))
		return nil
	}
	top := &dir{entry: root}
	top.Put(stored, fd, nil)
	if err := v.list(&v.workers[0], top); err != nil {
		return errors.Join(err, top.Close())
	}
	v.dirs.Start(&top.Folder, tree.Root{Dir: v.archive.Root, Path: v.name, Op: "open again"})
	err = walk.Run(v.ctx, len(v.workers), top, len(top.entries), walk.Tree[*dir]{
		Items: v.items, Enter: v.enter, Leave: v.leave,
	})
	return errors.Join(err, v.dirs.CloseAll())
}

// list loads a folder's entries from the catalog, and compares the folder itself and its listing with them.
func (v *verifier) list(w *worker, d *dir) error {
	rec, err := v.catalog.ReadDir(d.entry.Child)
	if err != nil {
		return fmt.Errorf("catalog of %s: %w", v.name, err)
	}
	d.entries = make([]index.Entry, 0, rec.Len())
	for _, e := range rec.Entries() {
		d.entries = append(d.entries, *e)
	}
	var st fsat.Stat
	if err := fsat.StatHandle(d.FD(stored), &st); err != nil {
		v.damage(d.Path(), ofEntry.lookFailed("stat", err))
	} else {
		v.findings(d.Path(), v.compare(&d.entry, &st),
			v.compareXattrs(&d.entry, func() ([]fsat.Xattr, error) { return fsat.Xattrs(d.FD(stored)) }))
	}
	list, err := fsat.ReadDir(d.FD(stored), w.list)
	if err != nil {
		v.damage(d.Path(), ofEntry.lookFailed("list", err))
		return nil
	}
	for _, name := range v.strangers(d, list) {
		v.damage(d.Child(name), ofEntry.stranger())
	}
	v.lock.Lock()
	v.report.Dirs++
	v.lock.Unlock()
	return nil
}

func (v *verifier) items(id int, d *dir, from, to int) (descend []int, err error) {
	w := &v.workers[id]
	if err := d.Acquire(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	var read, size uint64
	for i := from; i < to; i++ {
		e := &d.entries[i]
		if e.Type == index.Dir {
			descend = append(descend, i)
			continue
		}
		w.files++
		w.bytes += e.Size
		if e.Flags&index.NotStored != 0 {
			continue
		}
		wasRead, wrong := v.entry(w, d.FD(stored), e)
		if v.ctx.Err() != nil {
			return nil, context.Cause(v.ctx)
		}
		if len(wrong) > 0 {
			v.findings(d.Child(e.Name), wrong...)
		}
		if wasRead {
			read++
			size += e.Size
		}
	}
	v.lock.Lock()
	v.report.Files += w.files
	v.report.FilesRead += read
	v.report.BytesRead += size
	v.lock.Unlock()
	v.opt.Progress.Files.Add(w.files)
	v.opt.Progress.Bytes.Add(w.bytes)
	w.files, w.bytes = 0, 0
	return descend, nil
}

// entry verifies one entry that is not a folder, and reports whether its content was read. Wrong metadata do not keep
// the content from being read.
func (v *verifier) entry(w *worker, dir int, e *index.Entry) (read bool, wrong []error) {
	var st fsat.Stat
	if err := fsat.StatAt(dir, e.Name, &st); err != nil {
		return false, []error{ofEntry.lookFailed("stat", err)}
	}
	want := contentOf{st.Ino, e.Hash, e.Size}
	if v.anchored && e.Stored != 0 {
		want.stored = e.Stored
	}
	sameType := tree.TypeOf(st.Type) == e.Type
	isFile, sameSize := sameType && e.Type == index.File, uint64(st.Size) == e.Size
	differs := v.compare(e, &st)
	if isFile && !sameSize {
		differs = want.wrongContent(differs)
	}
	wrong = appendErr(wrong, differs)
	if !sameType {
		return false, wrong
	}
	wrong = appendErr(wrong, v.compareLinks(e, &st))
	if e.Type == index.Symlink {
		wrong = appendErr(wrong, compareTarget(dir, e, &st))
	}
	var known error // damage that was found under another name
	if isFile && sameSize && !v.opt.MetadataOnly {
		if read, known = v.read.begin(st.Ino, &want); read {
			attrs, content := v.readEntry(w, dir, e, &st, &want)
			return true, appendErr(appendErr(wrong, attrs), content)
		}
	}
	attrs := v.compareXattrs(e, func() ([]fsat.Xattr, error) { return fsat.XattrsAt(dir, e.Name) })
	return false, appendErr(appendErr(wrong, attrs), known)
}

// appendErr appends an error unless it is nil.
func appendErr(list []error, err error) []error {
	if err == nil {
		return list
	}
	return append(list, err)
}

// compareTarget compares the target of a symbolic link with the catalog.
func compareTarget(dir int, e *index.Entry, st *fsat.Stat) error {
	target, err := fsat.Readlink(dir, e.Name, st.Size)
	if err != nil {
		return ofEntry.lookFailed("read link", err)
	}
	if target != e.Target {
		return ofEntry.damagef("points to %q, was %q", target, e.Target)
	}
	return nil
}

// readEntry reads a stored file after readContents.begin, and records the outcome.
func (v *verifier) readEntry(w *worker, dir int, e *index.Entry, st *fsat.Stat, want *contentOf) (attrs, content error) {
	attrs, content = v.openEntry(w, dir, e, st)
	content = want.wrongContent(content)
	if v.read.end(st.Ino, want, content); content == nil {
		v.memory.sound(want, sizeToRead(e))
	}
	return attrs, content
}

// openEntry compares the extended attributes and the content of a stored file, which take fewer and quicker calls when
// it is open.
func (v *verifier) openEntry(w *worker, dir int, e *index.Entry, st *fsat.Stat) (attrs, content error) {
	fd, err := fsat.OpenFile(dir, e.Name)
	if err != nil {
		attrs = v.compareXattrs(e, func() ([]fsat.Xattr, error) { return fsat.XattrsAt(dir, e.Name) })
		return attrs, ofEntry.lookFailed("open", err)
	}
	attrs = v.compareXattrs(e, func() ([]fsat.Xattr, error) { return fsat.Xattrs(fd) })
	content = w.readContent(v.ctx, fd, e, st)
	return attrs, errors.Join(content, fsat.Close(fd))
}

func (v *verifier) content(ctx context.Context, w *worker, dir int, e *index.Entry) (err error) {
	fd, err := fsat.OpenFile(dir, e.Name)
	if err != nil {
		return ofEntry.lookFailed("open", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return ofEntry.lookFailed("stat", err)
	}
	return w.readContent(ctx, fd, e, &st)
}

// readContent compares the content of an open stored file with its record.
func (w *worker) readContent(ctx context.Context, fd int, e *index.Entry, st *fsat.Stat) error {
	n, hash, err := w.copier.Copy(ctx, filecopy.NoFile, fd, st.Size, st.Blocks*512 < st.Size)
	if err != nil {
		return ofEntry.lookFailed("read", err)
	}
	if uint64(n) != e.Size || hash != e.Hash {
		return ofEntry.damagef("content differs: hash %x, was %x", hash, e.Hash)
	}
	return nil
}
