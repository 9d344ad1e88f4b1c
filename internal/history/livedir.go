package history

import (
	"context"
	"errors"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/pair"
	"snapcopy/internal/tree"
)

// liveDir is a folder of the live tree being compared.
type liveDir struct {
	tree.Folder
	was index.Entry // entry in the snapshot; not a Dir: nothing below to compare with

	names   []fsat.DirEntry
	entries []index.Entry // the snapshot's entries, one for each of names; Type 0: none
}

// source is the one tree of the walk.
const source = 0

// enter starts a folder.
func (l *live) enter(id int, parent *liveDir, item int) (d *liveDir, items int, ok bool, err error) {
	d = &liveDir{was: parent.entries[item]}
	d.Begin(&parent.Folder, parent.names[item].Name)
	if err = parent.Acquire(); err == nil {
		err = d.Open(source)
		if releaseErr := parent.Release(); releaseErr != nil {
			return nil, 0, false, errors.Join(releaseErr, d.Close())
		}
	}
	if fsat.IsOtherType(err) { // a second look tells its present type
		return nil, 0, false, l.replaced(&l.workers[id], parent, item, err)
	}
	if fsat.IsGone(err) {
		if d.was.Type != 0 {
			err = l.removed(parent.Path(), &d.was)
		} else {
			err = nil
		}
		return nil, 0, false, err
	}
	if err != nil {
		return nil, 0, false, l.fail(d.Path(), outcome.Cause(err))
	}
	if err := l.fill(&l.workers[id], d); err != nil {
		return nil, 0, false, errors.Join(err, d.Close())
	}
	return d, len(d.names), true, d.Enter()
}

// replaced compares a name that was listed as a folder and is no longer one.
func (l *live) replaced(w *worker, parent *liveDir, item int, cause error) (err error) {
	if err := parent.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	isDir, err := l.item(w, parent, item)
	if err == nil && isDir {
		err = l.fail(parent.Child(parent.names[item].Name), cause)
	}
	return err
}

func (l *live) leave(_ int, d *liveDir) error { return d.Leave() }

// fill compares a folder itself, lists it, and pairs the names with the snapshot's entries.
func (l *live) fill(w *worker, d *liveDir) error {
	w.compared++
	path := d.Path()
	var st fsat.Stat
	err := fsat.StatHandle(d.FD(source), &st)
	if err != nil {
		return l.fail(path, err)
	}
	d.SetID(source, tree.IDOf(&st))
	if err := l.directory(d, path, &st); err != nil {
		return err
	}
	list, err := fsat.ReadDir(d.FD(source), w.copier.Buf[:64<<10])
	if err != nil {
		return l.fail(path, err)
	}
	return l.match(d, path, list)
}

// match pairs the listed names with the snapshot's entries, reports the entries that are gone, and drops the names to
// be skipped.
func (l *live) match(d *liveDir, path string, list []fsat.DirEntry) error {
	was, err := openListing(l.catalog, &d.was)
	if err != nil {
		return err
	}
	d.names = list[:0]
	for e, n := range pair.Lists(was.next, pair.Slice(list), tree.CompareListed) {
		if n == nil {
			if err := l.removed(path, e); err != nil {
				return err
			}
			continue
		}
		if l.opt.excludes(index.Join(path, n.Name), n.Type == fsat.Directory) {
			continue
		}
		d.names = append(d.names, *n)
		if e != nil {
			d.entries = append(d.entries, *kept(e))
		} else {
			d.entries = append(d.entries, index.Entry{})
		}
	}
	return nil
}

// items compares some of the names of a folder.
func (l *live) items(id int, d *liveDir, from, to int) (descend []int, err error) {
	if err := d.Acquire(); err != nil {
		return nil, l.fail(d.Path(), outcome.Cause(err))
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	for i := from; i < to; i++ {
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		isDir, err := l.item(&l.workers[id], d, i)
		if err != nil {
			return nil, err
		}
		if isDir {
			descend = append(descend, i)
		}
	}
	return descend, nil
}
