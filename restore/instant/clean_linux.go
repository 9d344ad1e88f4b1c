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

// This file works on the upper folder while nothing is mounted.

// errStop ends a search.
var errStop = errors.New("found")

// firstLeft returns an entry that only the snapshot has, "" if there is none. It trusts nothing but the names in the
// two folders: every one that shows through has to be in the upper folder, itself or as a whiteout.
func (s *settling) firstLeft(ctx context.Context) (left string, err error) {
	if err := s.openLayers(); err != nil {
		return "", err
	}
	lower, err := fsat.OpenRoot(s.from.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, fsat.Close(lower)) }()
	var found atomic.Pointer[string]
	err = s.offline(ctx, merge{lower: true}, func(dir int, m merge, own []fsat.DirEntry, buf []byte) ([]merge, error) {
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
			c, err := s.child(dir, m, nil, e.Name)
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

// cleanUp turns the upper folder into an ordinary tree. Doing it a second time changes nothing.
func (s *settling) cleanUp(ctx context.Context) error {
	if err := s.openLayers(); err != nil {
		return err
	}
	if err := s.step("dig"); err != nil {
		return err
	}
	if err := s.digAll(); err != nil {
		return err
	}
	err := s.offline(ctx, merge{}, func(dir int, m merge, own []fsat.DirEntry, _ []byte) ([]merge, error) {
		below, err := s.cleanFolder(dir, m, own)
		if err != nil {
			return nil, fmt.Errorf("clean %q: %w", strings.Join(m.at.names(), "/"), err)
		}
		return below, nil
	})
	if err != nil {
		return err
	}
	if err := s.syncAll(); err != nil {
		return err
	}
	return s.save(clean)
}

func (s *settling) cleanFolder(dir int, m merge, own []fsat.DirEntry) (below []merge, err error) {
	if err := s.step("clean"); err != nil {
		return nil, err
	}
	var st fsat.Stat
	if err := fsat.StatHandle(dir, &st); err != nil {
		return nil, err
	}
	mtime, err := overlay.RememberedTime(dir, ".", s.UserXattr, st.Mtime)
	if err != nil {
		return nil, err
	}
	changed := mtime != st.Mtime // by an earlier attempt
	for _, e := range own {
		switch e.Type {
		case fsat.Directory:
			below = append(below, merge{at: &way{m.at, e.Name}})
			continue
		case fsat.CharDevice:
			var node fsat.Stat
			if err := fsat.StatAt(dir, e.Name, &node); err != nil {
				return nil, err
			}
			if overlay.IsWhiteout(&node) {
				if !changed {
					if err := overlay.RememberTime(dir, ".", s.UserXattr, mtime); err != nil {
						return nil, err
					}
				}
				if err := fsat.Unlink(dir, e.Name); err != nil {
					return nil, fmt.Errorf("remove whiteout %q: %w", e.Name, err)
				}
				changed = true
				continue
			}
		}
		if err := overlay.Strip(dir, e.Name, s.UserXattr); err != nil {
			return nil, fmt.Errorf("%q: %w", e.Name, err)
		}
	}
	if changed {
		if err := s.step("time"); err != nil {
			return nil, err
		}
		if err := fsat.SetMtime(dir, mtime); err != nil {
			return nil, err
		}
	}
	return below, overlay.Strip(dir, ".", s.UserXattr)
}

// offline visits every folder of the upper tree, with its sorted names.
func (s *settling) offline(ctx context.Context, top merge,
	visit func(dir int, m merge, own []fsat.DirEntry, buf []byte) ([]merge, error)) error {
	bufs := make([][]byte, s.threads())
	return spread(ctx, len(bufs), top, func(worker int, m merge) (below []merge, err error) {
		if bufs[worker] == nil {
			bufs[worker] = make([]byte, 64<<10)
		}
		dir, err := fsat.OpenBelow(s.upper, m.at.names())
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
