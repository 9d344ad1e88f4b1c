package outcome

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/tree"
)

// MaxListed is the number of failed items that a report lists; the count is always exact.
const MaxListed = 1000

// Failure is an entry that was not restored, and the reason.
type Failure struct {
	Path  string       // in the snapshot
	Below index.Totals // of a folder: totals of the entries below
	Err   error
}

// Entries returns the number of entries that failed: the item's own and those below.
func (f *Failure) Entries() uint64 { return 1 + f.Below.Files + f.Below.Dirs }

// Cause drops the path from an error, for a message that has the path already.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && p == err {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}

// FailureOf makes the item for an entry that failed with everything below it.
func FailureOf(path string, e *index.Entry, err error) Failure {
	item := Failure{Path: strings.Clone(path), Err: Cause(err)}
	if e.Type == index.Dir {
		item.Below = e.Below
	}
	return item
}

// Failures collects the failed entries of a job, and keeps the first [MaxListed]. The zero value is empty; several
// goroutines may add to it.
type Failures struct {
	mu             sync.Mutex
	list           []Failure
	count, damaged uint64
}

// Add counts an item with the entries below it.
func (f *Failures) Add(item Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count += item.Entries()
	if errors.Is(item.Err, tree.ErrDamaged) {
		f.damaged += item.Entries()
	}
	if len(f.list) < MaxListed {
		f.list = append(f.list, item)
	}
}

// Any reports whether any entry failed.
func (f *Failures) Any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count > 0
}

// Sorted returns the items by path, the number of failed entries, and the number of those that failed because of
// damage.
func (f *Failures) Sorted() (list []Failure, count, damaged uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.list, func(a, b Failure) int { return strings.Compare(a.Path, b.Path) })
	return f.list, f.count, f.damaged
}
