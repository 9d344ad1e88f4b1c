package instant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"snapcopy/internal/fsat"
	"snapcopy/internal/overlay"
	"snapcopy/internal/pair"
)

// upperTree is the upper folder while nothing is mounted.
type upperTree struct {
	fd        int
	userXattr bool // the kernel's attributes are those of a user namespace
	threads   int
	step      func(string) error
}

// each visits every folder, with its sorted names.
func (t *upperTree) each(ctx context.Context, top merge,
	visit func(dir int, m merge, own []fsat.DirEntry, buf []byte) ([]merge, error)) error {
	bufs := make([][]byte, t.threads)
	return spread(ctx, len(bufs), top, func(worker int, m merge) (below []merge, err error) {
		if bufs[worker] == nil {
			bufs[worker] = make([]byte, 64<<10)
		}
		dir, err := fsat.OpenBelow(t.fd, m.at.names())
		if err != nil {
			return nil, fmt.Errorf("open %q: %w", strings.Join(m.at.names(), "/"), err)
		}
		defer func() { err = errors.Join(err, fsat.Close(dir)) }()
		own, err := fsat.ReadDir(dir, bufs[worker])
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", strings.Join(m.at.names(), "/"), err)
		}
		return visit(dir, m, own, bufs[worker])
	})
}

// errStop ends a search.
var errStop = errors.New("found")

// firstLeft returns an entry that only the snapshot has, "" if there is none; lower is the snapshot's folder. It trusts
// nothing but the names in the two folders: every one that shows through has to be in the upper folder, itself or as a
// whiteout.
func (t *upperTree) firstLeft(ctx context.Context, layers layers, lower int) (left string, err error) {
	var found atomic.Pointer[string]
	err = t.each(ctx, merge{lower: true}, func(dir int, m merge, own []fsat.DirEntry, buf []byte) ([]merge, error) {
		if m.lower {
			name, err := notIn(own, lower, m.low, buf)
			if err != nil {
				return nil, err
			}
			if name != "" {
				path := pathIn(m.at, name)
				found.Store(&path)
				return nil, errStop
			}
		}
		var below []merge
		for _, e := range own {
			if e.Type != fsat.Directory {
				continue
			}
			c, err := layers.child(dir, m, nil, e.Name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", pathIn(m.at, e.Name), err)
			}
			below = append(below, c)
		}
		return below, nil
	})
	if path := found.Load(); path != nil {
		return *path, nil
	}
	return "", err
}

// notIn returns a name in a folder of the snapshot that is not among those of the upper folder. Both are sorted.
func notIn(own []fsat.DirEntry, root int, at *way, buf []byte) (name string, err error) {
	dir, err := fsat.OpenBelow(root, at.names())
	if fsat.IsNoDir(err) { // nothing shows through
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	list, err := fsat.ReadDir(dir, buf)
	if err != nil {
		return "", err
	}
	for below, upper := range pair.Lists(pair.Slice(list), pair.Slice(own), compareListed) {
		if upper == nil {
			return below.Name, nil
		}
	}
	return "", nil
}

func compareListed(a, b *fsat.DirEntry) int { return strings.Compare(a.Name, b.Name) }

// clean removes whiteouts and the kernel's attributes. Doing it a second time changes nothing.
func (t *upperTree) clean(ctx context.Context) error {
	return t.each(ctx, merge{}, func(dir int, m merge, own []fsat.DirEntry, _ []byte) ([]merge, error) {
		below, err := t.cleanFolder(dir, m, own)
		if err != nil {
			return nil, fmt.Errorf("clean %q: %w", strings.Join(m.at.names(), "/"), err)
		}
		return below, nil
	})
}

func (t *upperTree) cleanFolder(dir int, m merge, own []fsat.DirEntry) (below []merge, err error) {
	if err := t.step("clean"); err != nil {
		return nil, err
	}
	mtime, err := timeOf(dir, t.userXattr)
	if err != nil {
		return nil, err
	}
	for _, e := range own {
		whiteout, err := isWhiteout(dir, e)
		switch {
		case err != nil:
			return nil, err
		case e.Type == fsat.Directory:
			below = append(below, merge{at: &way{m.at, e.Name}})
		case whiteout:
			if err := mtime.remember(); err != nil {
				return nil, err
			}
			if err := fsat.Unlink(dir, e.Name); err != nil {
				return nil, fmt.Errorf("remove whiteout %q: %w", e.Name, err)
			}
		default:
			if err := overlay.Strip(dir, e.Name, t.userXattr); err != nil {
				return nil, fmt.Errorf("%q: %w", e.Name, err)
			}
		}
	}
	if mtime.changed {
		if err := t.step("time"); err != nil {
			return nil, err
		}
		if err := fsat.SetMtime(dir, mtime.want); err != nil {
			return nil, err
		}
	}
	return below, overlay.Strip(dir, ".", t.userXattr)
}

func isWhiteout(dir int, e fsat.DirEntry) (bool, error) {
	if e.Type != fsat.CharDevice {
		return false, nil
	}
	var node fsat.Stat
	err := fsat.StatAt(dir, e.Name, &node)
	return err == nil && overlay.IsWhiteout(&node), err
}

// folderTime is the modification time of a folder from which whiteouts are removed. The time is kept in an attribute
// of the folder meanwhile, for an attempt after one that was cut short.
type folderTime struct {
	dir       int
	userXattr bool
	want      fsat.Time
	changed   bool // the folder has another time, or will have it
}

func timeOf(dir int, userXattr bool) (t folderTime, err error) {
	var st fsat.Stat
	if err := fsat.StatHandle(dir, &st); err != nil {
		return t, err
	}
	t = folderTime{dir: dir, userXattr: userXattr}
	t.want, err = overlay.RememberedTime(dir, ".", userXattr, st.Mtime)
	t.changed = t.want != st.Mtime // by an earlier attempt
	return t, err
}

// remember keeps the time before the folder is changed.
func (t *folderTime) remember() error {
	if t.changed {
		return nil
	}
	t.changed = true
	return overlay.RememberTime(t.dir, ".", t.userXattr, t.want)
}
