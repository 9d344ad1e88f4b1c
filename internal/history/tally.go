package history

import (
	"slices"
	"strings"

	"snapcopy/index"
)

// Tally sums up changes by folder. The zero value has a single sum.
type Tally struct {
	// Depth is the number of levels of folders with a sum of their own; deeper changes count for the folder of the
	// deepest level.
	Depth   int
	folders map[string]*FolderTally
}

// FolderTally sums up the changes in a folder, and below it if it is of the deepest level.
type FolderTally struct {
	Folder string // "" is the top
	Counts map[Kind]uint64
	// Added and Removed are the bytes of regular files added to the folder and removed from it. A changed file counts
	// for both, and a moved file once in each of the two folders if they differ.
	Added, Removed uint64
}

// Add counts one change.
func (t *Tally) Add(c *Change) {
	e := c.New
	if e == nil {
		e = c.Old
	}
	here := t.folder(t.place(c.Path, e))
	here.Counts[c.Kind]++
	if c.Kind == Metadata {
		return
	}
	from := here
	if c.Kind == Moved {
		if from = t.folder(t.place(c.From, c.Old)); from == here {
			return
		}
	}
	if c.New != nil && c.New.Type == index.File {
		here.Added += c.New.Size
	}
	if c.Old != nil && c.Old.Type == index.File {
		from.Removed += c.Old.Size
	}
}

// place returns the folder that a path counts for; a folder counts for itself.
func (t *Tally) place(path string, e *index.Entry) string {
	if e.Type != index.Dir {
		path = index.FolderOf(path)
	}
	end := 0
	for range t.Depth {
		n := strings.IndexByte(path[end:], '/')
		if n < 0 {
			return path
		}
		end += n + 1
	}
	return path[:max(end-1, 0)]
}

func (t *Tally) folder(path string) *FolderTally {
	f := t.folders[path]
	if f == nil {
		if t.folders == nil {
			t.folders = make(map[string]*FolderTally)
		}
		path = strings.Clone(path)
		f = &FolderTally{Folder: path, Counts: make(map[Kind]uint64)}
		t.folders[path] = f
	}
	return f
}

// Folders returns the folders with changes, in the order of their paths.
func (t *Tally) Folders() []*FolderTally {
	list := make([]*FolderTally, 0, len(t.folders))
	for _, f := range t.folders {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *FolderTally) int { return comparePaths(a.Folder, b.Folder) })
	return list
}
