package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/exclude"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lookup"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
	"snapcopy/internal/walk"
	"snapcopy/internal/workers"
)

// LiveOptions are the options of CompareLive. The zero value compares everything.
type LiveOptions struct {
	Threads int              // as for a restore
	Exclude *exclude.Matcher // entries to skip on both sides; nil: none
	Archive string           // a folder that is not part of the source; "": none
	// IgnoreInode and IgnoreCtime ignore the inode number or the change time, for sources where they are not stable.
	// Extended attributes are compared then.
	IgnoreInode, IgnoreCtime bool
}

func (o *LiveOptions) excludes(path string, isDir bool) bool {
	if o.Exclude == nil || o.Exclude.Empty() {
		return false
	}
	_, out := o.Exclude.Match(path, isDir)
	return out
}

// LiveReport has the figures of a CompareLive besides its changes.
type LiveReport struct {
	Compared  uint64 // entries of the source looked at
	FilesRead uint64 // regular files whose content was read
	BytesRead uint64
	// FailedCount is the number of entries that could not be compared; Failed has the first 1000, sorted by path.
	FailedCount uint64
	Failed      []outcome.Failure
}

// CompareLive compares a snapshot with a live folder, at path and below it, and calls visit for every change that
// [Compare] would report if a snapshot of the folder was taken now, in the same order. The folder is only read. A file
// whose size, mode, owner, times, change time and inode number equal the record is not opened; the content of other
// files is read if the size is the same. An added file is read only if a file of its size is gone from its path, to
// find moves.
//
// New of a change lacks Hash if the content was not read, and always Stored, Child and Below. The report lists entries
// that could not be read. Changes beyond 262,144 are visited at once, in no order, and moves among them are not found; as
// many hard links with another inode number or change time are compared by their groups, further ones by their number.
//
// CompareLive works by folder handles and leaf names, so that it reads nothing outside the folder, whatever other
// processes do to it meanwhile.
func CompareLive(ctx context.Context, c *index.Catalog, source, path string, opt LiveOptions,
	visit func(Change) error) (report *LiveReport, err error) {
	l := &live{ctx: ctx, catalog: c, opt: opt, ignored: tree.Ignored(opt.IgnoreCtime, opt.IgnoreInode), root: fsat.NoDir}
	l.changes.visit = visit
	l.workers = make([]worker, workers.Number(opt.Threads))
	for i := range l.workers {
		l.workers[i].copier.Buf = make([]byte, copyBuffer)
		l.workers[i].copier.Exact = true // sizes are compared before
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := fsat.CheckProc(); err != nil {
		return nil, err
	}
	if l.root, err = fsat.OpenRoot(source); err != nil {
		return nil, &fs.PathError{Op: "open source", Path: source, Err: err}
	}
	if opt.Archive != "" {
		if l.archive, err = folderID(opt.Archive); err != nil {
			return nil, &fs.PathError{Op: "open archive", Path: opt.Archive, Err: err}
		}
	}
	top, err := l.top(index.CleanPath(path), path)
	if err != nil || top == nil {
		l.changes.sort()
		return l.summary(), errors.Join(err, l.changes.visitAll())
	}
	err = walk.Run(ctx, len(l.workers), top, len(top.names), walk.Tree[*liveDir]{
		Items: l.items,
		Enter: l.enter,
		Leave: l.leave,
	})
	if err == nil {
		err = l.groups.addTo(&l.changes)
	}
	if err == nil {
		l.changes.sort()
		err = l.readMoved()
	}
	if err == nil {
		l.changes.findMoves()
		err = l.changes.visitAll()
	}
	return l.summary(), err
}

// live is the state of one CompareLive.
type live struct {
	ctx     context.Context
	catalog *index.Catalog
	opt     LiveOptions
	ignored tree.Fields  // fields that mean nothing in this folder: see tree.Unchanged
	root    int          // handle of the source
	archive tree.InodeID // zero: none
	workers []worker
	dirs    tree.Walk

	changes  changes
	groups   liveGroups
	failures outcome.Failures
}

// folderID returns the identity of the folder at path.
func folderID(path string) (tree.InodeID, error) {
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		return tree.InodeID{}, err
	}
	var st fsat.Stat
	err = fsat.StatHandle(fd, &st)
	return tree.IDOf(&st), errors.Join(err, fsat.Close(fd))
}

func (l *live) close() error {
	return errors.Join(l.dirs.CloseAll(), fsat.Close(l.root))
}

// top returns the folder where the walk begins: the source itself, or the folder that contains path, with that one
// name. It returns nil if the source has no such folder.
func (l *live) top(path, asked string) (*liveDir, error) {
	was, _, err := locate(l.catalog, path)
	if err != nil {
		return nil, err
	}
	fd, err := fsat.OpenPath(l.root, index.FolderOf(path))
	if fsat.IsNoDir(err) && was != nil {
		return nil, l.removed(index.FolderOf(path), was)
	}
	if fsat.IsNoDir(err) {
		return nil, lookup.NotFound(l.catalog, asked, path)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: index.FolderOf(path), Err: err}
	}
	d := new(liveDir)
	d.BeginTop(index.FolderOf(path))
	d.Put(source, fd, nil)
	l.dirs.Start(&d.Folder, tree.Root{Dir: l.root, Op: "open again"})
	if path == "" {
		d.was = *was
		return d, l.fill(&l.workers[0], d)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	var st fsat.Stat
	err = fsat.StatAt(fd, name, &st)
	if fsat.IsGone(err) && was == nil {
		return nil, lookup.NotFound(l.catalog, asked, path)
	}
	d.names = []fsat.DirEntry{{Name: name, Type: st.Type}}
	d.entries = make([]index.Entry, 1)
	if was != nil {
		d.entries[0] = *was
	}
	return d, nil
}

// removed reports an entry that is gone, with everything below it.
func (l *live) removed(folder string, e *index.Entry) error {
	path := index.Join(folder, e.Name)
	if l.opt.excludes(path, e.Type == index.Dir) {
		return nil
	}
	if err := l.changes.add(Change{Path: path, Kind: Removed, Old: e}); err != nil {
		return err
	}
	return l.removedBelow(path, e)
}

func (l *live) removedBelow(path string, e *index.Entry) error {
	list, err := openListing(l.catalog, e)
	for e := list.next(); err == nil && e != nil; e = list.next() {
		if l.ctx.Err() != nil {
			return context.Cause(l.ctx)
		}
		err = l.removed(path, e)
	}
	return err
}

// fail records an entry that cannot be compared.
func (l *live) fail(path string, err error) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.failures.Add(outcome.Failure{Path: strings.Clone(path), Err: err})
	return nil
}

func (l *live) summary() *LiveReport {
	r := new(LiveReport)
	for i := range l.workers {
		w := &l.workers[i]
		r.Compared += w.compared
		r.FilesRead += w.filesRead
		r.BytesRead += w.bytesRead
	}
	r.Failed, r.FailedCount, _ = l.failures.Sorted()
	return r
}

// readMoved reads the added files that may have been moved.
func (l *live) readMoved() error {
	added := l.changes.mayBeMoved()
	spare := make(chan *worker, len(l.workers))
	for i := range l.workers {
		spare <- &l.workers[i]
	}
	return workers.Each(l.ctx, workers.Number(0), len(added), func(_ context.Context, i int) error {
		w := <-spare
		defer func() { spare <- w }()
		return l.readAdded(w, added[i])
	})
}

// readAdded completes the entry of an added file.
func (l *live) readAdded(w *worker, c *Change) error {
	dir, err := fsat.OpenPath(l.root, index.FolderOf(c.Path))
	if err != nil {
		return nil // moved on: it stays an added file
	}
	var st fsat.Stat
	e := *c.New
	if err = fsat.StatAt(dir, e.Name, &st); err == nil && st.Type == fsat.Regular {
		if err = w.complete(l.ctx, dir, &e, &st, true); err == nil {
			c.New = &e
		}
	}
	if closeErr := fsat.Close(dir); closeErr != nil {
		return fmt.Errorf("close %q: %w", index.FolderOf(c.Path), closeErr)
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	return nil
}
