package snapshot

import (
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
)

// list returns the names in the folder; buf is working space. While names are being replaced, some file systems list neither the old nor the
// new one: then the folder is listed again, and every name of any listing is looked at.
func (d *dir) list(buf []byte) ([]fsat.DirEntry, error) {
	list, err := d.handles.src.List(buf)
	seen := d.source
	for try := 1; err == nil && try < maxTries && seen.Known == nil; try++ {
		var now source.Stat
		if err := d.handles.src.Stat(&now); err != nil {
			return distinct(list), err
		}
		if now.Mtime == seen.Mtime && now.Ctime == seen.Ctime && now.Flags&index.Racy == 0 {
			break
		}
		seen = now
		var again []fsat.DirEntry
		again, err = d.handles.src.List(buf)
		list = append(list, again...)
		slices.SortStableFunc(list, func(a, b fsat.DirEntry) int { return strings.Compare(a.Name, b.Name) })
		list = distinct(list)
	}
	return distinct(list), err
}

// distinct drops names that are in a listing twice because they were renamed meanwhile.
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
