package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
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

// LiveReport has the figures of a CompareLive besides its changes.
type LiveReport struct {
	Compared  uint64 // entries of the source looked at
	FilesRead uint64 // regular files whose content was read
	BytesRead uint64
	// FailedCount is the number of entries that could not be compared; Failed has the first 1000, sorted by path.
	FailedCount uint64
	Failed      []tree.FailedItem
}

// maxHeld is the number of changes kept until the end in order to find moves and to sort. Further changes are visited
// at once.
const maxHeld = 1 << 18

// CompareLive compares a snapshot with a live folder, at path and below it, and calls visit for every change that
// [Compare] would report if a snapshot of the folder was taken now, in the same order. The folder is only read. A file
// whose size, mode, owner, times, change time and inode number equal the record is not opened; the content of other
// files is read if the size is the same. An added file is read only if a removed file has its size, to find moves.
//
// New of a change lacks Hash if the content was not read, and always Stored, Child and Below. The report lists entries
// that could not be read. Changes beyond 262,144 are visited at once, in no order, and moves among them are not found.
//
// CompareLive works by folder handles and leaf names, so that it reads nothing outside the folder, whatever other
// processes do to it meanwhile.
func CompareLive(ctx context.Context, c *index.Catalog, source, path string, opt LiveOptions,
	visit func(Change) error) (report *LiveReport, err error) {
	l := &live{ctx: ctx, catalog: c, opt: opt, ignored: tree.Ignored(opt.IgnoreCtime, opt.IgnoreInode), visit: visit,
		root: fsat.NoDir}
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
		if err := l.leaveOut(opt.Archive); err != nil {
			return nil, err
		}
	}
	top, err := l.top(index.CleanPath(path), path)
	if err != nil || top == nil {
		return l.summary(), errors.Join(err, l.tellHeld())
	}
	err = walk.Run(ctx, len(l.workers), top, len(top.names), walk.Tree[*liveDir]{
		Items: l.items,
		Enter: l.enter,
		Leave: l.leave,
	})
	if err == nil {
		err = l.findMoves()
	}
	if err == nil {
		err = l.tellHeld()
	}
	return l.summary(), err
}

// worker is the state of one worker of the walk.
type worker struct {
	copier filecopy.Copier
	_      [64]byte
}

// copyBuffer is the size of a worker's buffer for content.
const copyBuffer = 1 << 20

// live is the state of one CompareLive.
type live struct {
	ctx     context.Context
	catalog *index.Catalog
	opt     LiveOptions
	ignored tree.Fields // fields that mean nothing in this folder: see tree.Unchanged
	visit   func(Change) error
	root    int          // handle of the source
	archive tree.InodeID // zero: none
	workers []worker
	dirs    tree.Walk

	compared, filesRead, bytesRead atomic.Uint64
	failures                       tree.Failures

	mu   sync.Mutex
	held []Change
}

func (l *live) leaveOut(archive string) error {
	fd, err := fsat.OpenRoot(archive)
	if err != nil {
		return &fs.PathError{Op: "open archive", Path: archive, Err: err}
	}
	var st fsat.Stat
	err = fsat.StatHandle(fd, &st)
	l.archive = tree.IDOf(&st)
	return errors.Join(err, fsat.Close(fd))
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
		return nil, tree.NotFound(l.catalog, asked, path)
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
		return nil, tree.NotFound(l.catalog, asked, path)
	}
	d.names = []fsat.DirEntry{{Name: name, Type: st.Type}}
	d.entries = make([]index.Entry, 1)
	if was != nil {
		d.entries[0] = *was
	}
	return d, nil
}

// tell visits a change, or keeps it for later. It copies the entries.
func (l *live) tell(c Change) error {
	if c.Old != nil {
		c.Old = kept(c.Old)
	}
	c.Path = strings.Clone(c.Path)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) >= maxHeld {
		return l.visit(c)
	}
	l.held = append(l.held, c)
	return nil
}

func (l *live) tellHeld() error {
	slices.SortFunc(l.held, func(a, b Change) int { return comparePaths(a.Path, b.Path) })
	for i := range l.held {
		if l.held[i].Kind == "" { // part of a move
			continue
		}
		if err := l.visit(l.held[i]); err != nil {
			return err
		}
	}
	return nil
}

// removed reports an entry that is gone, with everything below it.
func (l *live) removed(folder string, e *index.Entry) error {
	path := index.Join(folder, e.Name)
	if l.excluded(path, e.Type == index.Dir) {
		return nil
	}
	if err := l.tell(Change{Path: path, Kind: Removed, Old: e}); err != nil {
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

func (l *live) excluded(path string, isDir bool) bool {
	if l.opt.Exclude == nil || l.opt.Exclude.Empty() {
		return false
	}
	_, out := l.opt.Exclude.Match(path, isDir)
	return out
}

// fail records an entry that cannot be compared.
func (l *live) fail(path string, err error) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.failures.Add(tree.FailedItem{Path: strings.Clone(path), Err: err})
	return nil
}

func (l *live) summary() *LiveReport {
	r := &LiveReport{Compared: l.compared.Load(), FilesRead: l.filesRead.Load(), BytesRead: l.bytesRead.Load()}
	r.Failed, r.FailedCount, _ = l.failures.Sorted()
	return r
}

// findMoves reads the added files that have the size of a removed file, and pairs files of the same content.
func (l *live) findMoves() error {
	gone := make(map[uint64][]int)
	for i := range l.held {
		if e := l.held[i].Old; l.held[i].Kind == Removed && e.Type == index.File && e.Size > 0 {
			gone[e.Size] = append(gone[e.Size], i)
		}
	}
	var added []int
	for i := range l.held {
		if e := l.held[i].New; l.held[i].Kind == Added && e.Type == index.File && gone[e.Size] != nil {
			added = append(added, i)
		}
	}
	spare := make(chan *worker, len(l.workers))
	for i := range l.workers {
		spare <- &l.workers[i]
	}
	err := workers.Each(l.ctx, workers.Number(0), len(added), func(_ context.Context, i int) error {
		w := <-spare
		defer func() { spare <- w }()
		return l.readAdded(w, &l.held[added[i]])
	})
	if err != nil {
		return err
	}
	order := func(a, b int) int { return comparePaths(l.held[a].Path, l.held[b].Path) }
	slices.SortFunc(added, order)
	for _, list := range gone {
		slices.SortFunc(list, order)
	}
	for _, sameName := range []bool{true, false} {
		for _, i := range added {
			l.matchMove(&l.held[i], gone, sameName)
		}
	}
	return nil
}

// matchMove turns an added file with the content of a removed file into a move.
func (l *live) matchMove(c *Change, gone map[uint64][]int, sameName bool) {
	if c.Kind != Added || c.New.Hash == (index.Hash{}) {
		return
	}
	for _, i := range gone[c.New.Size] {
		was := &l.held[i]
		if was.Kind != Removed || was.Old.Hash != c.New.Hash || sameName && was.Old.Name != c.New.Name {
			continue
		}
		c.Kind, c.From, c.Old, c.Fields = Moved, was.Path, was.Old, tree.Diff(was.Old, c.New).Names()
		was.Kind = ""
		return
	}
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
		if err = l.complete(w, dir, &e, &st, true); err == nil {
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
