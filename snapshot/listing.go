package snapshot

import (
	"errors"
	"slices"
	"strings"

	"snapcopy/internal/fsat"
)

// list gives the names in the directory. Where names are replaced while it is listed, some file systems show neither the
// old nor the new one: then it is listed again, and every name that was there in any listing is looked at.
func (r *run) list(w *worker, d *dir) ([]fsat.DirEntry, error) {
	list, err := fsat.ReadDir(d.handles.src, w.list)
	seen := d.source
	for try := 1; err == nil && try < maxTries; try++ {
		var now fsat.Stat
		if err := fsat.StatHandle(d.handles.src, &now); err != nil {
			return distinct(list), err
		}
		if now.Mtime == seen.Mtime && now.Ctime == seen.Ctime && !r.racy(&now) {
			break
		}
		seen = now
		var again []fsat.DirEntry
		again, err = r.listAgain(w, d)
		list = append(list, again...)
		slices.SortStableFunc(list, func(a, b fsat.DirEntry) int { return strings.Compare(a.Name, b.Name) })
		list = distinct(list)
	}
	return distinct(list), err
}

// listAgain lists by a new handle, because a listing moves its own.
func (r *run) listAgain(w *worker, d *dir) ([]fsat.DirEntry, error) {
	fd, err := fsat.OpenDir(d.handles.src, ".")
	if err != nil {
		return nil, err
	}
	list, err := fsat.ReadDir(fd, w.list)
	return list, errors.Join(err, fsat.Close(fd))
}

// distinct drops names that a listing held twice because they were renamed meanwhile.
func distinct(list []fsat.DirEntry) []fsat.DirEntry {
	n := 0
	for i := range list {
		if i == 0 || list[i].Name != list[i-1].Name {
			list[n] = list[i]
			n++
		}
	}
	return list[:n]
}
