package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// dir is a folder of the source under way, with its counterparts in the previous snapshot and in the new one.
type dir struct {
	parent *dir
	slot   int // its position in the parent's entries
	id     index.DirID
	self   index.Entry // entry of the folder itself, as far as it is known
	was    index.Entry // its entry in the previous snapshot; Type 0: none
	source source.Stat
	xattrs []fsat.Xattr
	dev    uint32 // number of its file system in the catalog

	names []fsat.DirEntry
	// entries has one entry for each of names: first that of the previous snapshot (Type 0: none), then, after a look
	// at the source, the new one (Type 0: not in the snapshot).
	entries []index.Entry
	fresh   []bool // one for each of entries: stored in this run and to be added to the index
	// unlisted has one for each of names: the listing failed before it came to this name, which the previous snapshot
	// has. nil: none.
	unlisted []bool

	vanished     []vanished // names that seem to be gone
	vanishedLock sync.Mutex
	carrier      dirCarrier // of names that cannot be read

	judged judged

	handles handles

	pathOnce sync.Once
	kept     string
}

func (d *dir) name() string { return d.self.Name }

// slot is an entry of a folder, in the hands of the worker that decides about it.
type slot struct {
	w *worker
	d *dir
	i int
	// carried is the previous snapshot's folder in place of the source's: the entry is carried along. nil: it is not.
	carried source.Folder
}

// source is the folder of the source from which the entry is read.
func (at slot) source() source.Folder {
	if at.carried != nil {
		return at.carried
	}
	return at.d.handles.src
}

// isCarried reports whether the entry is carried along, alone or with its folder.
func (at slot) isCarried() bool { return at.carried != nil || at.d.isCarried() }

// entry is the entry of the previous snapshot until the worker has decided, and then that of the new one.
func (at slot) entry() *index.Entry { return &at.d.entries[at.i] }
func (at slot) name() string        { return at.d.names[at.i].Name }
func (at slot) path() string        { return at.d.child(at.name()) }

// path returns the folder's path below the source; child adds one element. Paths are long, so they are only made for
// people, patterns and rare events.
func (d *dir) path() string {
	if d.parent == nil {
		return ""
	}
	var parts []string
	for at := d; at.parent != nil; at = at.parent {
		parts = append(parts, at.self.Name)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// pathLength returns the length of the path, or a number above most if it is longer.
func (d *dir) pathLength(most int) (n int) {
	for at := d; at.parent != nil && n <= most; at = at.parent {
		n += len(at.self.Name) + 1
	}
	return n
}

// sharedPath is path, made once for all who keep it.
func (d *dir) sharedPath() string {
	d.pathOnce.Do(func() { d.kept = d.path() })
	return d.kept
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func (d *dir) child(name string) string { return join(d.path(), name) }

// handles are the open handles of a dir. While the walk is far from a folder they are closed, so that a deep tree does
// not use up the descriptors; a user of the handles acquires them first. They are no tree.Folder: source and mirror come
// in several kinds, and know by themselves how one of their folders is opened again.
type handles struct {
	dirhandles.Dir[*dir]
	src  source.Folder // nil: it could never be opened
	lost error         // why src cannot be opened any more
	dst  mirror.Folder // nil: not made yet
}

func (d *dir) closeHandles() error {
	h := &d.handles
	var srcErr, dstErr error
	if h.src != nil {
		srcErr = h.src.Close()
	}
	if h.dst != nil {
		dstErr = h.dst.Close()
	}
	return errors.Join(srcErr, dstErr, d.carrier.close())
}

// previous is the handle of the folder in the previous snapshot; fsat.NoDir: there is none, or it cannot be opened.
func (d *dir) previous() int { return d.handles.dst.Previous() }

// openByPath opens the folder by the names from the top. That takes long for a deep folder, but leaves no other handle
// open.
func openByPath(d *dir) error {
	h := &d.handles
	if h.src != nil {
		h.lost = h.src.Reopen(d.path(), nil)
	}
	if err := h.dst.Reopen(nil); err != nil {
		return errors.Join(notMirrored(d.path(), err), d.closeHandles())
	}
	return nil
}

// openFrom opens the folder from a folder directly below it.
func openFrom(d, child *dir) (done bool, err error) {
	h, below := &d.handles, &child.handles
	if below.src == nil || below.lost != nil || h.src.Reopen("", below.src) != nil {
		return false, nil // the folder below was moved elsewhere: openByPath will do
	}
	h.lost = nil
	if err := h.dst.Reopen(below.dst); err != nil {
		return false, errors.Join(notMirrored(d.path(), err), d.closeHandles())
	}
	return true, nil
}

// openTop begins the walk: it takes the source's own folder, already open, makes the top of the mirror, and opens its
// counterpart in the previous snapshot.
func (r *run) openTop() (err error) {
	d := &dir{self: index.Entry{Type: index.Dir}}
	h := &d.handles
	if h.dst, err = r.mirror.Top(); err != nil {
		return fmt.Errorf("begin mirror in %s: %w", r.archive.WorkPath(), err)
	}
	if r.previous.catalog != nil {
		d.was = r.previous.catalog.Root()
		if r.coverage.base != nil {
			d.judged.base = r.coverage.base.Root()
		}
		if err := h.dst.OpenPrevious(); err != nil {
			return errors.Join(&fs.PathError{Op: "open", Path: r.previous.name, Err: err}, d.closeHandles())
		}
	}
	r.top = d
	r.dirs.Start(&d.handles.Dir, d)
	if d.id, err = r.rec.startDir(0, ""); err != nil {
		return err
	}
	if err := r.openTopFolder(d); err != nil {
		return err
	}
	reason, err := h.src.LeaveOut("", &d.source)
	if err != nil {
		r.workers[0].fail(".", err)
	}
	if reason.Rule != "" { // a copy has the rule from the report of the original run
		r.report.MarkedItself = reason.Rule
	}
	return nil
}

// readTop opens, describes and lists the source's own folder. If a part of that may succeed later, the error says so: isLater.
func (r *run) readTop(d *dir) (err error) {
	w, h := &r.workers[0], &d.handles
	if h.src == nil {
		if h.src, err = r.source.Top(); err != nil {
			return w.laterDir(d, &fs.PathError{Op: "open", Path: r.report.Source, Err: err})
		}
	}
	if err := h.src.Stat(&d.source); err != nil {
		return w.laterDir(d, &fs.PathError{Op: "stat", Path: r.report.Source, Err: err})
	}
	d.self = index.Entry{Type: index.Dir}
	if err := r.beginDir(w, d); err != nil {
		return fmt.Errorf("read source %s: %w", r.report.Source, err)
	}
	return nil
}

// enter handles an item of a folder that items has found to be a folder, or that waits to be tried again: see inTurn. It
// opens a folder on both sides, and lists it.
func (r *run) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	if err := parent.handles.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() {
		if releaseErr := parent.handles.Release(); releaseErr != nil {
			err = releaseErr
		}
	}()
	w := &r.workers[id]
	ok, err = r.inTurn(w, parent, item, func() (bool, error) {
		d = r.newDir(parent, item)
		return r.openDir(w, d)
	})
	if err != nil || !ok {
		return nil, 0, false, err
	}
	if was := &parent.entries[item]; was.Type != 0 && was.Type != index.Dir { // a folder has taken its place
		r.previous.addGone(parent, was)
		*was = index.Entry{}
	}
	return d, len(d.names), true, d.handles.Enter(&parent.handles.Dir, d)
}

// newDir begins with a folder directly below parent.
func (r *run) newDir(parent *dir, item int) *dir {
	d := &dir{parent: parent, slot: item, judged: judged{base: r.coverage.below(parent, item)}}
	if was := &parent.entries[item]; was.Type == index.Dir {
		d.was = *was
	}
	d.self = index.Entry{Name: parent.names[item].Name, Type: index.Dir}
	return d
}

// openDir opens a folder in the source, makes it in the mirror, and reads it. It returns false, after deciding about
// the parent's entry, if the folder is not to be entered.
func (r *run) openDir(w *worker, d *dir) (bool, error) {
	p := d.parent
	if err := p.handles.lost; err != nil {
		return false, r.notStored(w, p, d.slot, lostWith(err))
	}
	if p.isUnlisted(d.slot) {
		return r.unreadableDir(w, d, errUnlisted)
	}
	src, err := p.handles.src.Open(d.name())
	switch {
	case err == nil:
	case errors.Is(err, source.ErrElsewhere):
		return false, w.leftOutElsewhere(p, d.slot)
	case fsat.IsNoDir(err):
		return false, r.reconsider(w, p, d.slot)
	default:
		return r.unreadableDir(w, d, err)
	}
	d.handles.src = src
	rule, err := w.leaveOutDir(d)
	if err != nil {
		return r.undescribedDir(w, d, err)
	}
	return r.fillDir(w, d, rule)
}

// fillDir makes a folder in the mirror that is open in the source, unless a rule leaves it out, and reads it. It returns
// the same as openDir.
func (r *run) fillDir(w *worker, d *dir, rule string) (bool, error) {
	p := d.parent
	if rule != "" {
		w.tally.leftOutForState(p.child(d.name()), rule)
		return false, errors.Join(w.excluded(p, d.slot, fsat.Directory, rule), d.closeHandles())
	}
	hasPrevious := d.was.Type == index.Dir
	if err := r.beginDir(w, d); err != nil { // before anything is made for the folder: it may have to wait
		if isFatal(err) || isLater(err) {
			return false, errors.Join(err, d.closeHandles())
		}
		d.self.Flags |= index.Unread
		r.failList(w, d, err)
	}
	if err := r.makeDir(d); err != nil {
		return false, errors.Join(w.failed(d, err), d.closeHandles())
	}
	if hasPrevious {
		err := d.handles.dst.OpenPrevious()
		if fsat.IsPassing(err) {
			return false, errors.Join(fatal("open in the previous snapshot", p.child(d.name()), err), d.closeHandles())
		}
		if err != nil { // its files are stored afresh and counted as missing
			r.isLost(w, p, d.name(), err)
		}
	}
	return true, nil
}

// makeDir makes the folder in the mirror, and begins its record.
func (r *run) makeDir(d *dir) (err error) {
	if d.handles.dst, err = d.parent.handles.dst.Make(d.name()); err != nil {
		return notMirrored(d.path(), err)
	}
	d.id, err = r.rec.startDir(d.parent.id, d.name())
	return err
}

// beginDir describes the open folder (d.source has its stat data), lists it, and pairs the names with those of the
// previous snapshot.
func (r *run) beginDir(w *worker, d *dir) error {
	d.dev = r.rec.devices.number(&d.source)
	describe(&d.self, &d.source, d.dev)
	if err := w.laterDir(d, r.dirMetadata(d)); isFatal(err) || isLater(err) {
		return err
	} else if err != nil {
		d.self.Flags |= index.Racy // the next run tries again
		w.fail(d.path(), err)
	}
	if r.opt.OneFileSystem && d.source.Dev != r.top.source.Dev { // stays empty: a mountpoint for the other file system
		w.counts.Excluded++
		w.tally.tell(Item{Path: d.path(), Action: Excluded, Type: index.Dir, Rule: filter.RuleOneFileSystem})
		d.judged.leftOut = filter.RuleOneFileSystem
		return nil
	}
	r.coverage.enter(d)
	var err error
	d.names, err = d.list(w.list)
	if err != nil {
		err = w.laterDir(d, &fs.PathError{Op: "list", Path: cmp.Or(d.path(), r.report.Source), Err: err})
		if isLater(err) {
			return err
		}
		if r.carries(d) {
			r.previous.addUnlisted(d)
		}
	}
	d.entries, d.fresh = make([]index.Entry, len(d.names)), make([]bool, len(d.names))
	if err != nil {
		d.self.Flags |= index.Unread // entries missing from the listing do not count as gone
	}
	r.previous.pair(d)
	return err
}

// dirMetadata sets the folder's file attributes and extended attributes, from the previous snapshot if they cannot
// have changed.
func (r *run) dirMetadata(d *dir) error {
	known := d.source.Known
	if d.was.Type == index.Dir && r.previous.unchanged(&d.was, &d.source) && !r.opt.IgnoreCtime &&
		(known == nil || tree.Diff(&d.was, known)&(tree.Xattrs|tree.Attrs) == 0) {
		d.self.Attrs = d.was.Attrs
		if d.was.Xattrs == 0 {
			return nil
		}
		if set, ok := r.previous.xattrs(d.was.Xattrs); ok {
			d.xattrs = set
			return r.rec.addXattrs(&d.self, d.xattrs)
		}
	}
	m := d.handles.src.Metadata("", &d.source)
	d.self.Attrs, d.xattrs = tree.KnownAttrs(m.Attrs), m.Xattrs
	return errors.Join(m.Err, r.rec.addXattrs(&d.self, d.xattrs))
}

// unreadableDir carries along a folder that may not be listed. If it was not stored before, unreadableDir stores it as an
// empty one, and reports it as failed.
func (r *run) unreadableDir(w *worker, d *dir, cause error) (bool, error) {
	p := d.parent
	cause = w.later(p, d.slot, &fs.PathError{Op: "open", Path: p.child(d.name()), Err: cause})
	if isLater(cause) {
		return false, cause
	}
	if done, enter, err := r.carryDir(w, d, &cause); done || err != nil {
		return enter, err
	}
	if err := source.LookAt(p.handles.src, d.name(), &d.source); err != nil || d.source.Type != fsat.Directory {
		return false, w.failed(d, cause)
	}
	d.dev = r.rec.devices.number(&d.source)
	describe(&d.self, &d.source, d.dev)
	d.self.Flags |= index.Unread
	d.was = index.Entry{}
	if err := r.makeDir(d); err != nil {
		return false, errors.Join(w.failed(d, err), d.closeHandles())
	}
	w.fail(p.child(d.name()), cause)
	return true, nil
}

// leave ends a folder: it writes its record to the catalog, its metadata to the mirror, and its entry to the parent.
func (r *run) leave(id int, d *dir) (err error) {
	w := &r.workers[id]
	if err := d.handles.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.handles.Release()) }()
	if err := r.confirmVanished(w, d); err != nil {
		return err
	}
	n := 0
	for i := range d.entries {
		if d.entries[i].Type != 0 {
			d.entries[n], d.fresh[n] = d.entries[i], d.fresh[i]
			n++
		}
	}
	d.entries = d.entries[:n]
	if err := r.rec.addDir(d); err != nil {
		return err
	}
	if err := r.finishDir(w, d); err != nil {
		return err
	}
	r.coverage.measure(d)
	w.counts.Dirs++
	if d.parent != nil {
		d.parent.entries[d.slot] = d.self
	}
	r.retries.left(d)
	return d.handles.Leave()
}

// finishDir sets the metadata of a folder of the mirror, when all its entries are there.
func (r *run) finishDir(w *worker, d *dir) error {
	done, err := d.handles.dst.Finish(&d.self, d.xattrs, d.entries, w.list)
	if err != nil {
		return notMirrored(d.path(), err)
	}
	if done.Lost != nil {
		w.fail(cmp.Or(d.path(), "."), done.Lost)
	}
	if d.parent == nil && archive.TopMode(&d.self) != d.self.Mode {
		d.self.Flags |= index.ModeCatalogOnly
	}
	w.structure += d.self.Blocks * 512
	w.counts.BytesAllocated += d.self.Blocks * 512
	w.catalogOnly.Add(d.self.Flags)
	w.catalogOnly.Names += done.Renamed
	return nil
}
