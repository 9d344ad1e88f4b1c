package lookup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
)

// ErrSameName reports two paths that would get the same name in the target.
var ErrSameName = errors.New("would both be restored under the same name")

// Selected is one path to restore.
type Selected struct {
	Folder string // of the snapshot, in which the entry is
	Entry  index.Entry
}

// Select looks up the paths. It returns nil for the whole snapshot: no paths, or only its root. Unless paths are
// restored in place, no two different ones may have the same last element.
func Select(c *index.Catalog, paths []string, inPlace bool) ([]Selected, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	list := make([]Selected, 0, len(paths))
	names := make(map[string]string, len(paths))
	for _, path := range paths {
		clean := index.CleanPath(path)
		if clean == "" {
			if !slices.ContainsFunc(paths, func(p string) bool { return index.CleanPath(p) != "" }) {
				return nil, nil
			}
			return nil, fmt.Errorf("restore %q: the whole snapshot cannot be restored together with other paths", path)
		}
		e, ok, err := c.Lookup(clean)
		if err != nil {
			return nil, fmt.Errorf("look up %q: %w", path, err)
		}
		if !ok {
			return nil, NotFound(c, path, clean)
		}
		as := e.Name
		if inPlace {
			as = clean
		}
		if other, taken := names[as]; taken {
			if other == clean {
				continue // named twice
			}
			return nil, fmt.Errorf("%q and %q %w", other, clean, ErrSameName)
		}
		names[as] = clean
		folder := strings.TrimSuffix(strings.TrimSuffix(clean, e.Name), "/")
		list = append(list, Selected{folder, e})
	}
	if inPlace { // a path inside another one is restored with that
		list = slices.DeleteFunc(list, func(s Selected) bool {
			for folder := s.Folder; folder != ""; folder = index.FolderOf(folder) {
				if _, taken := names[folder]; taken {
					return true
				}
			}
			return false
		})
	}
	return list, nil
}

// TotalsOf sums up the selected paths with everything below them; nil stands for the whole snapshot.
func TotalsOf(c *index.Catalog, selected []Selected) (sum index.Totals) {
	add := func(e *index.Entry) {
		switch e.Type {
		case index.Dir:
			sum.Files += e.Below.Files
			sum.Bytes += e.Below.Bytes
		case index.File:
			sum.Files++
			sum.Bytes += e.Size
		default:
			sum.Files++
		}
	}
	if selected == nil {
		root := c.Root()
		add(&root)
	}
	for i := range selected {
		add(&selected[i].Entry)
	}
	return sum
}
