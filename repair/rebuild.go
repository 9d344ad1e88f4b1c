package repair

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/tree"
	"snapcopy/internal/walk"
)

// rebuilder makes a catalog from a snapshot's folder, in walks: the first counts the names of each stored file in this
// snapshot, the last describes the entries. If there are link groups, one between them looks up what the neighbouring
// catalogs know of them: they may know some names of a group, and all names of it need the same record.
type rebuilder struct {
	ctx      context.Context
	archive  *archive.Archive
	snapshot archive.Snapshot
	progress *archive.Progress
	fault    func(step string) error
	made     *Rebuilt
	workers  []worker
	dirs     tree.Walk
	near     []*index.Catalog // of the snapshots before and after this one
	counting bool             // in the walks before the last
	knowing  bool             // in the walk for link groups
	out      *index.Writer

	met   inodeset.Set
	mu    sync.Mutex        // of what follows, of made, and of the steps
	names map[uint64]uint32 // of stored files with several names in this snapshot
	known map[uint64]record // of these files
}

// record is what a neighbouring catalog has of a stored file.
type record struct {
	was  index.Entry // without name
	near *index.Catalog
}

// worker is the state of one worker of the walks.
type worker struct {
	copier filecopy.Copier
	list   []byte
	_      [64]byte
}

func newWorkers(n int, progress *archive.Progress) []worker {
	list := make([]worker, n)
	for i := range list {
		list[i].list = make([]byte, 64<<10)
		list[i].copier.Buf = make([]byte, filecopy.BufferSize)
		list[i].copier.Tick = func(n int) { progress.Read.Add(uint64(n)) }
	}
	return list
}

// folder is a folder of the snapshot on the way.
type folder struct {
	tree.Folder
	id      index.DirID
	self    index.Entry
	parent  *folder
	item    int // its position in the entries of the folder above
	names   []fsat.DirEntry
	entries []index.Entry
	omitted []bool
	near    []*index.Record // what the neighbouring catalogs have here; nil: nothing
}

const stored = 0 // the one tree of the walks

func (b *rebuilder) close() error {
	var errs []error
	for _, c := range b.near {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// openNear opens the catalogs of the snapshots next to this one that tell of the same stored files.
func (b *rebuilder) openNear() error {
	list, err := b.archive.Snapshots()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(s archive.Snapshot) bool { return s.Name == b.snapshot.Name })
	after := slices.IndexFunc(list, func(s archive.Snapshot) bool { return s.Name > b.snapshot.Name })
	if after < 0 {
		after = len(list)
	}
	for _, i := range []int{after - 1, after} {
		if i < 0 || i >= len(list) {
			continue
		}
		c, err := list[i].OpenCatalog()
		if err != nil {
			continue // verify tells of it
		}
		if c.Summary().Anchor != b.archive.Anchor {
			if err := c.Close(); err != nil {
				return err
			}
			continue
		}
		b.near = append(b.near, c)
	}
	return nil
}

// write writes the catalog, and syncs it.
func (b *rebuilder) write(f *os.File) (err error) {
	if err := b.openNear(); err != nil {
		return err
	}
	b.names = make(map[uint64]uint32)
	b.counting = true
	if _, err := b.walk(); err != nil {
		return err
	}
	if len(b.names) > 0 && len(b.near) > 0 {
		b.knowing, b.known = true, make(map[uint64]record)
		if _, err := b.walk(); err != nil {
			return err
		}
	}
	b.counting = false
	if b.out, err = index.NewWriter(f); err != nil {
		return err
	}
	top, err := b.walk()
	if err != nil {
		return err
	}
	summary, err := b.summary(&top.self)
	if err != nil {
		return err
	}
	if err := b.out.Finish(top.self, []uint64{0}, summary); err != nil {
		return err
	}
	return f.Sync()
}

// summary describes the run by its report, if there is one.
func (b *rebuilder) summary(root *index.Entry) (index.Summary, error) {
	b.made.Files, b.made.Dirs, b.made.Bytes = root.Below.Files, root.Below.Dirs+1, root.Below.Bytes
	s := index.Summary{Snapshot: b.snapshot.Name, Anchor: b.archive.Anchor, Incomplete: true, Granularity: 1}
	start, _ := archive.ParseName(b.snapshot.Name)
	s.Start, s.End = timeOf(start), timeOf(start)
	r, err := b.archive.Reports.Read(b.snapshot.Name)
	if err == nil {
		s.Start, s.End = timeOf(r.Start), timeOf(r.End)
		s.Source, s.Previous, s.Incomplete, s.Counts = r.Source, r.Previous, r.Incomplete, r.Counts
	} else {
		b.made.NoReport = true
		if !errors.Is(err, fs.ErrNotExist) && fsat.IsPassing(err) {
			return s, err
		}
	}
	for _, c := range slices.Backward(b.near) { // the host is in no report
		other := c.Summary()
		if s.Source == "" {
			s.Source = other.Source
		}
		if s.Source == other.Source {
			s.Host = other.Host
		}
	}
	s.Counts.Files, s.Counts.Dirs, s.Counts.BytesTotal = root.Below.Files, root.Below.Dirs+1, root.Below.Bytes
	s.Incomplete = s.Incomplete || len(b.made.Unreadable) > 0
	return s, nil
}

func timeOf(t time.Time) index.Time { return index.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())} }

// walk walks the snapshot's folder, and returns its top.
func (b *rebuilder) walk() (top *folder, err error) {
	fd, err := fsat.OpenDir(b.archive.Root, b.snapshot.Name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: b.snapshot.Dir, Err: err}
	}
	top = &folder{}
	top.Put(stored, fd, nil)
	if err := b.begin(&b.workers[0], top, 0); err != nil {
		return nil, errors.Join(err, top.Close())
	}
	for _, c := range b.near {
		rec, err := c.ReadDir(c.Root().Child)
		if err != nil {
			rec = nil // verify tells of it
		}
		top.near = append(top.near, rec)
	}
	b.dirs.Start(&top.Folder, tree.Root{Dir: b.archive.Root, Path: b.snapshot.Name, Op: "open again"})
	err = walk.Run(b.ctx, len(b.workers), top, len(top.names), walk.Tree[*folder]{Items: b.items, Enter: b.enter, Leave: b.leave})
	return top, errors.Join(err, b.dirs.CloseAll())
}

// begin lists a folder, and begins its record.
func (b *rebuilder) begin(w *worker, d *folder, parent index.DirID) (err error) {
	if d.names, err = fsat.ReadDir(d.FD(stored), w.list); err != nil {
		return b.failed("list", d.Path(), err)
	}
	if b.counting {
		return nil
	}
	d.entries, d.omitted = make([]index.Entry, len(d.names)), make([]bool, len(d.names))
	var st fsat.Stat
	if err := fsat.StatHandle(d.FD(stored), &st); err != nil {
		return b.failed("stat", d.Path(), err)
	}
	set, err := fsat.Xattrs(d.FD(stored))
	if err != nil {
		return b.failed("read extended attributes of", d.Path(), err)
	}
	if err := b.describe(&d.self, d.Name(), &st, set); err != nil {
		return b.failed("record", d.Path(), err)
	}
	d.id, err = b.out.StartDir(parent, d.Name())
	return err
}

func (b *rebuilder) failed(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: b.snapshot.Dir + "/" + path, Err: err}
}

func (b *rebuilder) enter(id int, parent *folder, item int) (d *folder, items int, ok bool, err error) {
	if err := parent.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	d = &folder{parent: parent, item: item}
	d.Begin(&parent.Folder, parent.names[item].Name)
	if err := d.Open(stored); err != nil {
		return nil, 0, false, err
	}
	if err := b.begin(&b.workers[id], d, parent.id); err != nil {
		return nil, 0, false, errors.Join(err, d.Close())
	}
	for i, c := range b.near {
		var rec *index.Record
		if above := parent.near[i]; above != nil {
			if e, found := above.Find(d.Name()); found && e.Type == index.Dir {
				rec, _ = c.ReadDir(e.Child) // verify tells of damage
			}
		}
		d.near = append(d.near, rec)
	}
	return d, len(d.names), true, d.Enter()
}

func (b *rebuilder) leave(_ int, d *folder) error {
	if !b.counting {
		if err := b.add(d); err != nil {
			return err
		}
	}
	return d.Leave()
}

// add writes the record of a folder, whose entries are complete.
func (b *rebuilder) add(d *folder) error {
	kept := d.entries[:0]
	for i := range d.entries {
		if !d.omitted[i] {
			kept = append(kept, d.entries[i])
		}
	}
	if err := b.out.AddDir(d.id, kept, &d.self); err != nil {
		return b.failed("record", d.Path(), err)
	}
	if d.parent != nil {
		d.parent.entries[d.item] = d.self
	}
	return nil
}

func (b *rebuilder) items(id int, d *folder, from, to int) (descend []int, err error) {
	if err := d.Acquire(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	for i := from; i < to; i++ {
		if b.ctx.Err() != nil {
			return nil, context.Cause(b.ctx)
		}
		var st fsat.Stat
		name := d.names[i].Name
		if err := fsat.StatAt(d.FD(stored), name, &st); err != nil {
			return nil, b.failed("stat", d.Child(name), err)
		}
		switch {
		case st.Type == fsat.Directory:
			descend = append(descend, i)
		case b.knowing && b.counting:
			b.know(d, name, &st)
		case b.counting:
			b.count(&st)
		default:
			if err := b.entry(&b.workers[id], d, i, &st); err != nil {
				return nil, err
			}
		}
	}
	return descend, nil
}

// count counts a name of a stored file.
func (b *rebuilder) count(st *fsat.Stat) {
	if st.Nlink == 1 || b.met.Claim(st.Ino) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[st.Ino] = max(b.names[st.Ino], 1) + 1
}

// know takes note of what a neighbouring catalog has of a stored file with several names in this snapshot.
func (b *rebuilder) know(d *folder, name string, st *fsat.Stat) {
	if st.Nlink == 1 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, has := b.known[st.Ino]; has || b.names[st.Ino] < 2 {
		return
	}
	if was, near, ok := b.recorded(d, name, st.Ino); ok {
		was.Name, was.Target = "", ""
		b.known[st.Ino] = record{was, near}
	}
}

// describe sets the fields of an entry that stat data and attributes tell. The source's change time and inode number are
// not known: in their place stand values by which a link group can be told from others.
func (b *rebuilder) describe(e *index.Entry, name string, st *fsat.Stat, set []fsat.Xattr) (err error) {
	e.Name = name
	tree.Describe(e, st)
	e.Attrs, e.Ino, e.Ctime = 0, 0, e.Mtime
	e.Flags = index.Racy
	e.Stored, e.Blocks = st.Ino, uint64(st.Blocks)
	if e.Type != index.Dir {
		e.Nlink = 1
		if n := b.names[st.Ino]; n > 1 {
			e.Nlink, e.Ino = n, st.Ino
		}
	}
	e.Xattrs, e.XattrHash, err = b.out.AddXattrs(set)
	return err
}

// entry describes an entry that is not a folder.
func (b *rebuilder) entry(w *worker, d *folder, i int, st *fsat.Stat) error {
	name := d.names[i].Name
	e := &d.entries[i]
	set, err := fsat.XattrsAt(d.FD(stored), name)
	if err == nil {
		err = b.describe(e, name, st, set)
	}
	if err == nil && e.Type == index.Symlink {
		e.Target, err = fsat.Readlink(d.FD(stored), name, st.Size)
		e.Size = uint64(len(e.Target))
	}
	if err != nil {
		return b.failed("record", d.Child(name), err)
	}
	b.progress.Files.Add(1)
	if e.Type != index.File {
		return nil
	}
	b.progress.Bytes.Add(e.Size)
	if err := b.content(w, d, i, st, set); err != nil {
		return b.failed("read", d.Child(name), err)
	}
	return nil
}

// content sets the content hash. A neighbouring catalog that has the same stored file knows what the hash was, and what the
// metadata were.
func (b *rebuilder) content(w *worker, d *folder, i int, st *fsat.Stat, set []fsat.Xattr) (err error) {
	e := &d.entries[i]
	if err = b.read(w, d, e, st); fsat.IsBadDisk(err) { // once is not often: what is left out now stays out
		err = b.read(w, d, e, st)
	}
	if err != nil && !fsat.IsBadDisk(err) {
		return err
	}
	zeros := w.copier.ZeroHash
	was, near, known := b.recordOf(d, e)
	damaged := known && (err != nil || was.Hash != e.Hash)
	if damaged {
		e.Hash, e.Size, zeros = was.Hash, was.Size, was.Flags&index.ZeroHash != 0
	}
	if known {
		altered, recordErr := b.recordedMetadata(e, &was, near, st, set)
		if recordErr != nil {
			return recordErr
		}
		damaged = damaged || altered
	}
	switch {
	case damaged:
		b.note(&b.made.Damaged, d.Child(e.Name))
	case err != nil:
		d.omitted[i] = true
		b.note(&b.made.Unreadable, d.Child(e.Name))
	}
	if zeros {
		e.Flags |= index.ZeroHash
	}
	return nil
}

// read reads and hashes a stored file.
func (b *rebuilder) read(w *worker, d *folder, e *index.Entry, st *fsat.Stat) (err error) {
	if err := b.step("read a stored file"); err != nil {
		return err
	}
	fd, err := fsat.OpenFile(d.FD(stored), e.Name)
	if err != nil {
		return err
	}
	_, e.Hash, err = w.copier.Copy(b.ctx, filecopy.NoFile, fd, st.Size, isSparse(st))
	return errors.Join(err, fsat.Close(fd))
}

// step lets a test make a step fail.
func (b *rebuilder) step(name string) error {
	if b.fault == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault(name)
}

// recordOf returns the entry of the same stored file in a neighbouring catalog, for all names of a link group the same one.
func (b *rebuilder) recordOf(d *folder, e *index.Entry) (was index.Entry, near *index.Catalog, ok bool) {
	if e.Nlink > 1 {
		r, known := b.known[e.Stored] // complete by now
		return r.was, r.near, known
	}
	return b.recorded(d, e.Name, e.Stored)
}

// recorded returns the entry of a stored file under the same name in a neighbouring catalog.
func (b *rebuilder) recorded(d *folder, name string, stored uint64) (was index.Entry, near *index.Catalog, ok bool) {
	for i, rec := range d.near {
		if rec == nil {
			continue
		}
		if was, ok = rec.Find(name); ok && was.Type == index.File && was.Stored == stored {
			return was, b.near[i], true
		}
	}
	return was, nil, false
}

// recordedMetadata gives an entry the metadata that a neighbouring catalog records for its stored file. altered says that
// the stored file has others now.
func (b *rebuilder) recordedMetadata(e, was *index.Entry, near *index.Catalog, st *fsat.Stat, set []fsat.Xattr) (altered bool, err error) {
	wasSet, err := near.Xattrs(was.Xattrs)
	if err != nil {
		return false, nil // verify tells of the damaged catalog
	}
	altered = len(tree.Differences(was, st)) > 0 ||
		was.Flags&index.XattrsCatalogOnly == 0 && tree.XattrDifference(set, wasSet, os.Geteuid() == 0) != ""
	e.Mode, e.UID, e.GID, e.Mtime, e.Ctime = was.Mode, was.UID, was.GID, was.Mtime, was.Mtime
	e.Flags |= was.Flags & index.CatalogOnly &^ (index.NotStored | index.LinksCatalogOnly)
	e.Xattrs, e.XattrHash, err = b.out.AddXattrs(wasSet)
	return altered, err
}

func (b *rebuilder) note(list *[]string, path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*list = append(*list, path)
}
