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
	base   index.Entry // its entry in the base line; Type 0: none
	source source.Stat
	xattrs []fsat.Xattr
	dev    uint32 // number of its file system in the catalog

	names []fsat.DirEntry
	// entries has one entry for each of names: first that of the previous snapshot (Type 0: none), then, after a look
	// at the source, the new one (Type 0: not in the snapshot).
	entries []index.Entry
	fresh   []bool // one for each of entries: stored in this run and to be added to the index

	vanished     []vanished // names that seem to be gone
	vanishedLock sync.Mutex

	// The comparison with the base line.
	baseDirs map[string]index.Entry // folders of the base line, if that is not the previous snapshot
	causes   map[string]string      // by name
	leftOut  string                 // the rule for all names

	handles handles

	pathOnce sync.Once
	kept     string
}

func (d *dir) name() string { return d.self.Name }

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
// not use up the descriptors; a user of the handles acquires them first.
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
	return errors.Join(srcErr, dstErr)
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
	if r.previous != nil {
		d.was = r.previous.Root()
		if r.coverage.base != nil {
			d.base = r.coverage.base.Root()
		}
		if err := h.dst.OpenPrevious(); err != nil {
			return errors.Join(&fs.PathError{Op: "open", Path: r.prevName, Err: err}, d.closeHandles())
		}
	}
	if h.src, err = r.source.Top(); err != nil {
		return errors.Join(&fs.PathError{Op: "open", Path: r.report.Source, Err: err}, d.closeHandles())
	}
	r.top = d
	r.dirs.Start(&d.handles.Dir, d)
	if d.id, err = r.rec.startDir(0, ""); err != nil {
		return err
	}
	if err := h.src.Stat(&d.source); err != nil {
		return &fs.PathError{Op: "stat", Path: r.report.Source, Err: err}
	}
	if err := r.readDir(&r.workers[0], d); err != nil {
		return fmt.Errorf("read source %s: %w", r.report.Source, err)
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

// enter opens a folder that items has found, on both sides, and lists it.
func (r *run) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	w := &r.workers[id]
	if err := parent.handles.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.handles.Release()) }()
	slot := &parent.entries[item]
	d = &dir{parent: parent, slot: item, base: r.coverage.below(parent, item)}
	switch slot.Type {
	case 0:
	case index.Dir:
		d.was = *slot
	default: // a folder has taken its place
		r.gone.add(parent, slot)
		*slot = index.Entry{}
	}
	d.self = index.Entry{Name: parent.names[item].Name, Type: index.Dir}
	if ok, err = r.openDir(w, d); err != nil || !ok {
		return nil, 0, false, err
	}
	return d, len(d.names), true, d.handles.Enter(&parent.handles.Dir, d)
}

// openDir opens a folder in the source, makes it in the mirror, and reads it. It returns false, after deciding about
// the parent's entry, if the folder is not to be entered.
func (r *run) openDir(w *worker, d *dir) (bool, error) {
	p, slot := d.parent, &d.parent.entries[d.slot]
	if err := p.handles.lost; err != nil {
		return false, r.notStored(w, p, d.slot, lostWith(err))
	}
	src, err := p.handles.src.Open(d.name())
	switch {
	case err == nil:
	case errors.Is(err, source.ErrElsewhere):
		return false, r.leftOutElsewhere(w, p, d.slot)
	case fsat.IsNoDir(err):
		return false, r.reconsider(w, p, d.slot)
	default:
		return r.unreadableDir(w, d, err)
	}
	d.handles.src = src
	rule, err := r.leaveOut(d)
	if err != nil {
		return false, errors.Join(r.failed(w, d, err), d.closeHandles())
	}
	if rule != "" {
		r.coverage.lacks(p, d.slot, rule)
		*slot = index.Entry{}
		w.counts.Excluded++
		w.tally.leftOutForState(p.child(d.name()), rule)
		w.tally.tell(Item{Path: p.child(d.name()), Action: Excluded, Type: index.Dir, Rule: rule})
		return false, d.closeHandles()
	}
	if err := r.makeDir(d); err != nil {
		return false, errors.Join(r.failed(w, d, err), d.closeHandles())
	}
	if d.was.Type == index.Dir {
		err := d.handles.dst.OpenPrevious()
		if fsat.IsPassing(err) {
			return false, errors.Join(fatal("open in the previous snapshot", p.child(d.name()), err), d.closeHandles())
		}
		if err != nil { // its files are stored afresh and counted as missing
			r.isLost(w, p, d.name(), err)
		}
	}
	if err := r.readDir(w, d); err != nil {
		if isFatal(err) {
			return false, errors.Join(err, d.closeHandles())
		}
		d.self.Flags |= index.Unread
		w.fail(p.child(d.name()), err)
	}
	return true, nil
}

// leaveOut describes a folder, and returns the rule that leaves it out, or "".
func (r *run) leaveOut(d *dir) (rule string, err error) {
	if err := d.handles.src.Stat(&d.source); err != nil {
		return "", fmt.Errorf("stat: %w", err)
	}
	reason, err := d.handles.src.LeaveOut("", &d.source)
	if reason.Rule == source.RuleArchive {
		r.tally.leftOutItself(d.path())
	}
	return reason.Rule, err
}

// makeDir makes the folder in the mirror, and begins its record.
func (r *run) makeDir(d *dir) (err error) {
	if d.handles.dst, err = d.parent.handles.dst.Make(d.name()); err != nil {
		return notMirrored(d.path(), err)
	}
	d.id, err = r.rec.startDir(d.parent.id, d.name())
	return err
}

// readDir describes the open folder (d.source has its stat data), lists it, and pairs the names with those of the
// previous snapshot.
func (r *run) readDir(w *worker, d *dir) error {
	d.dev = r.rec.devices.number(&d.source)
	describe(&d.self, &d.source, d.dev)
	if err := r.dirMetadata(d); isFatal(err) {
		return err
	} else if err != nil {
		d.self.Flags |= index.Racy // the next run tries again
		w.fail(d.path(), err)
	}
	if r.opt.OneFileSystem && d.source.Dev != r.top.source.Dev { // stays empty: a mountpoint for the other file system
		w.counts.Excluded++
		w.tally.tell(Item{Path: d.path(), Action: Excluded, Type: index.Dir, Rule: filter.RuleOneFileSystem})
		d.leftOut = filter.RuleOneFileSystem
		return nil
	}
	if err := r.coverage.open(d); err != nil {
		r.baselineUnusable(err)
	}
	var err error
	d.names, err = r.list(w, d)
	d.entries, d.fresh = make([]index.Entry, len(d.names)), make([]bool, len(d.names))
	if err != nil {
		err = &fs.PathError{Op: "list", Path: cmp.Or(d.path(), r.report.Source), Err: err}
		d.self.Flags |= index.Unread // entries missing from the listing do not count as gone
	}
	return errors.Join(err, r.pairWithPrevious(d))
}

// dirMetadata sets the folder's file attributes and extended attributes, from the previous snapshot if they cannot
// have changed.
func (r *run) dirMetadata(d *dir) error {
	known := d.source.Known
	if d.was.Type == index.Dir && tree.Unchanged(&d.was, &d.source.Stat, r.ignored) && !r.opt.IgnoreCtime &&
		(known == nil || tree.Diff(&d.was, known)&(tree.Xattrs|tree.Attrs) == 0) {
		d.self.Attrs = d.was.Attrs
		if d.was.Xattrs == 0 {
			return nil
		}
		set, err := r.previous.Xattrs(d.was.Xattrs)
		if err == nil {
			d.xattrs = set
			return r.rec.addXattrs(&d.self, d.xattrs)
		}
		r.tally.previousUnusable(err)
	}
	m := d.handles.src.Metadata("", &d.source)
	d.self.Attrs, d.xattrs = tree.KnownAttrs(m.Attrs), m.Xattrs
	return errors.Join(m.Err, r.rec.addXattrs(&d.self, d.xattrs))
}

// pairWithPrevious puts the previous snapshot's entries into d.entries, by name, and records those that are gone.
func (r *run) pairWithPrevious(d *dir) error {
	if d.was.Type != index.Dir {
		return nil
	}
	rec, err := r.previous.ReadDir(d.was.Child)
	if err != nil {
		r.tally.previousUnusable(err) // as if the folder were new: everything in it is read again
		d.was = index.Entry{}
		return nil
	}
	i := 0
	for old, name := range tree.Beside(rec, d.names) {
		if old != nil && name != nil {
			d.entries[i] = *old
			d.entries[i].Name, d.entries[i].Target = name.Name, strings.Clone(old.Target) // keep nothing of the record
		} else if old != nil && d.self.Flags&index.Unread == 0 {
			r.gone.add(d, old)
		}
		if name != nil {
			i++
		}
	}
	return nil
}

// unreadableDir stores a folder that may not be listed as an empty one, and reports it as failed.
func (r *run) unreadableDir(w *worker, d *dir, cause error) (bool, error) {
	p := d.parent
	cause = &fs.PathError{Op: "open", Path: p.child(d.name()), Err: cause}
	if err := source.LookAt(p.handles.src, d.name(), &d.source); err != nil || d.source.Type != fsat.Directory {
		return false, r.failed(w, d, cause)
	}
	d.dev = r.rec.devices.number(&d.source)
	describe(&d.self, &d.source, d.dev)
	d.self.Flags |= index.Unread
	d.was = index.Entry{}
	if err := r.makeDir(d); err != nil {
		return false, errors.Join(r.failed(w, d, err), d.closeHandles())
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
	r.confirmVanished(w, d)
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
	if err := r.coverage.measure(d); err != nil {
		r.baselineUnusable(err)
	}
	w.counts.Dirs++
	if d.parent != nil {
		d.parent.entries[d.slot] = d.self
	}
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
		d.self.Flags |= index.ModeNotHeld
	}
	w.structure += d.self.Blocks * 512
	w.counts.BytesAllocated += d.self.Blocks * 512
	w.notHeld.Add(d.self.Flags)
	w.notHeld.Names += done.Renamed
	return nil
}
