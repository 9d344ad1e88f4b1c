package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
)

// MaxListed is how many failed items a report names; the count is always exact.
const MaxListed = 1000

// FailedItem is an entry that was not restored, and why.
type FailedItem struct {
	Path  string       // in the snapshot
	Below index.Totals // what a directory would have held
	Err   error
}

// Entries is how many entries failed: the item's own and those below it.
func (f *FailedItem) Entries() uint64 { return 1 + f.Below.Files + f.Below.Dirs }

// Cause drops the path that an error names, where the path is told beside it.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && p == err {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}

// FailedEntry says that an entry failed, with all that is below it.
func FailedEntry(path string, e *index.Entry, err error) FailedItem {
	item := FailedItem{Path: strings.Clone(path), Err: Cause(err)}
	if e.Type == index.Dir {
		item.Below = e.Below
	}
	return item
}

// Failures counts the entries that a job could not deal with, and keeps the first [MaxListed]. The zero value is empty;
// several goroutines may add to it.
type Failures struct {
	mu             sync.Mutex
	list           []FailedItem
	count, damaged uint64
}

// Add counts an item with what is below it.
func (f *Failures) Add(item FailedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count += item.Entries()
	if errors.Is(item.Err, ErrDamaged) {
		f.damaged += item.Entries()
	}
	if len(f.list) < MaxListed {
		f.list = append(f.list, item)
	}
}

// Any reports whether anything failed.
func (f *Failures) Any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count > 0
}

// Sorted returns the items by path, and how many entries failed, and how many of those because of damage.
func (f *Failures) Sorted() (list []FailedItem, count, damaged uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.list, func(a, b FailedItem) int { return strings.Compare(a.Path, b.Path) })
	return f.list, f.count, f.damaged
}
