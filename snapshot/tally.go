package snapshot

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// Numbers of entries that a report lists; the counts are always exact.
const (
	maxListed = 1000
	// maxLeftOut is for entries left out for their state. A restore that deletes spares those, and has to be more careful
	// if the list is not complete.
	maxLeftOut    = 10_000
	maxUnfinished = 100
)

// tally collects the lists of a report that workers add to during the walk, and passes items to Options.Item.
type tally struct {
	mu      sync.Mutex
	failed  []archive.FailedItem
	leftOut []archive.LeftOutItem
	states  uint64 // entries left out for their state

	altered      []archive.Altered
	alteredCount uint64

	rotten      []archive.Rotten
	rottenCount uint64
	rottenIsNew bool // one of them was sound as far as the run before knew

	unfinished   []archive.LeftOutItem // restores
	selfExcluded string                // path of the archive

	itemLock sync.Mutex
	item     func(Item) // nil: nobody wants to be told

	allNew bool // the archive has no earlier snapshot of the source
}

// goOn begins with the lists of another run's report.
func (t *tally) goOn(rep *archive.Report) {
	t.failed, t.leftOut, t.states = slices.Clone(rep.Failed), slices.Clone(rep.LeftOut), rep.LeftOutCount
	t.unfinished, t.selfExcluded = slices.Clone(rep.UnfinishedRestores), rep.SelfExcluded
}

// isTold reports whether somebody wants to be told of each entry.
func (t *tally) isTold() bool { return t.item != nil }

// tell passes an item to Options.Item.
func (t *tally) tell(item Item) {
	if t.item == nil {
		return
	}
	t.itemLock.Lock()
	defer t.itemLock.Unlock()
	t.item(item)
}

// fail lists an entry that could not be stored, or not completely, after a number of tries; 0: it was tried once.
func (t *tally) fail(path string, err error, tries int) {
	t.mu.Lock()
	if len(t.failed) < maxListed {
		t.failed = append(t.failed, archive.FailedItem{Path: path, Error: err.Error(), Tries: tries})
	}
	t.mu.Unlock()
	t.tell(Item{Path: path, Action: Failed, Err: err})
}

// failKept lists an entry that could not be read and is carried along.
func (t *tally) failKept(path string, err error, e *index.Entry, tries int) {
	t.mu.Lock()
	if len(t.failed) < maxListed {
		t.failed = append(t.failed, archive.FailedItem{Path: path, Error: err.Error(), KeptAsOf: e.AsOf, Tries: tries})
	}
	t.mu.Unlock()
	t.tell(Item{Path: path, Action: Kept, Type: e.Type, Size: e.Size, AsOf: e.AsOf, Err: err})
}

// leftOutForState records an entry that the filters leave out because of its size, content or attributes, which may
// change later.
func (t *tally) leftOutForState(path, rule string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states++
	if len(t.leftOut) < maxLeftOut {
		t.leftOut = append(t.leftOut, archive.LeftOutItem{Path: strings.Clone(path), Rule: rule})
	}
}

// unfinishedRestore records a folder with the note of a restore.
func (t *tally) unfinishedRestore(path, rule string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unfinished) < maxUnfinished {
		t.unfinished = append(t.unfinished, archive.LeftOutItem{Path: path, Rule: rule})
	}
}

// leftOutItself records the path of the archive below the source.
func (t *tally) leftOutItself(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.selfExcluded = path
}

// damaged records an entry of a published snapshot that differs from its record.
func (t *tally) damaged(snapshot, path, found string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alteredCount++
	if len(t.altered) < maxListed {
		t.altered = append(t.altered, archive.Altered{Snapshot: snapshot, Path: path, Found: found})
	}
}

// isRotten records a file that is damaged in the source.
func (t *tally) isRotten(v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rottenCount++
	t.rottenIsNew = t.rottenIsNew || v.isNew
	if len(t.rotten) < maxListed {
		t.rotten = append(t.rotten, *v.rotten)
	}
}

// addTo adds the lists, sorted by path, to a report.
func (t *tally) addTo(rep *archive.Report) {
	slices.SortFunc(t.leftOut, func(a, b archive.LeftOutItem) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(t.failed, func(a, b archive.FailedItem) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(t.altered, func(a, b archive.Altered) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Snapshot, b.Snapshot))
	})
	rep.Failed, rep.LeftOut, rep.LeftOutCount = t.failed, t.leftOut, t.states
	slices.SortFunc(t.rotten, func(a, b archive.Rotten) int { return strings.Compare(a.Path, b.Path) })
	rep.Rotten, rep.RottenCount = t.rotten, t.rottenCount
	rep.Altered, rep.AlteredCount = t.altered, t.alteredCount
	rep.UnfinishedRestores, rep.SelfExcluded = t.unfinished, t.selfExcluded
}
