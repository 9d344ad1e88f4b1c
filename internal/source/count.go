package source

import (
	"context"
	"errors"
	"path"
	"strings"

	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
)

// Seen is an entry that Count has looked at.
type Seen struct {
	*Stat
	in   *localFolder
	name string
}

// Data returns the number of bytes of a regular file's content that are not holes. It opens the file and reads nothing, so
// its success says, too, that the file may be opened.
func (e *Seen) Data() (n int64, err error) {
	fd, err := fsat.OpenFile(e.in.fd, e.name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	for at := int64(0); ; {
		start, end, ok, err := fsat.NextData(fd, at, e.Size)
		if err != nil || !ok {
			return n, err
		}
		n, at = n+end-start, end
	}
}

// maxCountDepth bounds the handles that Count keeps open.
const maxCountDepth = 200

// ErrTooDeep reports a tree that is too deep to be counted.
var ErrTooDeep = errors.New("the source has too many folders in one another to be counted")

// Count looks at the entries that a run of the source would store, by their stat data alone, beside a run and in no
// particular order. It calls visit for each, folders included, until visit fails. An entry that cannot be looked at is
// left to the run, which reports it: so the count may be too low, and never is too high for a source that stays as it is.
func (l *Local) Count(ctx context.Context, visit func(*Seen) error) (err error) {
	own := &Local{Filter: l.Filter, Archive: l.Archive, IgnoreCtime: l.IgnoreCtime, began: l.began}
	if own.fd, err = fsat.OpenDir(l.fd, "."); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	top, err := own.Top()
	if err != nil {
		return err
	}
	c := counter{ctx: ctx, of: own, visit: visit, buf: make([]byte, 64<<10)}
	return errors.Join(c.folder(top.(*localFolder), "", 0), top.Close())
}

type counter struct {
	ctx   context.Context
	of    *Local
	visit func(*Seen) error
	buf   []byte
	looks [256]Stat
}

// folder counts a folder and everything below it.
func (c *counter) folder(f *localFolder, at string, depth int) error {
	if depth > maxCountDepth {
		return ErrTooDeep
	}
	var st Stat
	if err := f.Stat(&st); err != nil {
		return nil
	}
	if depth > 0 {
		if reason, err := f.LeaveOut("", &st); err != nil || reason.Rule != "" {
			return nil
		}
	}
	if err := c.visit(&Seen{Stat: &st, in: f}); err != nil {
		return err
	}
	if c.of.Filter.OneFileSystem && st.Dev != c.of.dev {
		return nil
	}
	names, _ := f.List(c.buf) // after an error it is a part of the names
	below, err := c.entries(f, at, names)
	if err != nil {
		return err
	}
	for _, name := range below {
		if c.of.Filter.Name(path.Join(at, name), true) != "" {
			continue
		}
		d, err := f.Open(name)
		if err != nil {
			continue
		}
		if err := errors.Join(c.folder(d.(*localFolder), path.Join(at, name), depth+1), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// entries counts the entries of a folder other than folders, whose names it returns.
func (c *counter) entries(f *localFolder, at string, names []fsat.DirEntry) (below []string, err error) {
	for len(names) > 0 {
		if err := c.ctx.Err(); err != nil {
			return nil, context.Cause(c.ctx)
		}
		batch := names[:min(len(names), len(c.looks))]
		names = names[len(batch):]
		f.Look(batch, c.looks[:])
		for i := range batch {
			name, st := batch[i].Name, &c.looks[i]
			switch {
			case batch[i].Type == fsat.Directory || st.Err == nil && st.Type == fsat.Directory:
				below = append(below, name)
				continue
			case st.Err != nil || c.isLeftOut(f, at, name, st):
				continue
			}
			if err := c.visit(&Seen{st, f, name}); err != nil {
				return nil, err
			}
		}
	}
	return below, nil
}

// isLeftOut reports whether a run leaves out an entry other than a folder.
func (c *counter) isLeftOut(f *localFolder, at, name string, st *Stat) bool {
	filter := c.of.Filter
	if filter.ByName() && filter.Name(path.Join(at, name), false) != "" {
		return true
	}
	if !filter.ByState() && !strings.HasPrefix(name, leftover.Prefix) {
		return false
	}
	reason, err := f.LeaveOut(name, st)
	return err != nil || reason.Rule != ""
}
