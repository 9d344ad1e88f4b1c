package restore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
)

// teller reports the outcome for each entry: to Options.Item, and in the lists of the report. Several workers use it
// at once.
type teller struct {
	ctx      context.Context
	item     func(outcome.Item) // nil: nobody is watching
	itemLock sync.Mutex         // one call at a time

	report     *Report
	reportLock sync.Mutex // of the lists that workers add to
	failures   outcome.Failures
}

// told reports the outcome for an entry of d that did not fail.
func (t *teller) told(d *dir, e *index.Entry, a outcome.Action) {
	if e.AsOf != "" && e.Type != index.Dir && a != outcome.Deleted {
		t.older(d.Child(e.Name), e.AsOf)
	}
	if t.item != nil {
		t.tell(outcome.Item{Path: d.Child(e.Name), Action: a, Type: e.Type, Size: e.Size, AsOf: e.AsOf})
	}
}

// older lists an entry that the snapshot has as an earlier run has read it.
func (t *teller) older(path, asOf string) {
	t.reportLock.Lock()
	defer t.reportLock.Unlock()
	t.report.KeptCount++
	if len(t.report.Kept) < outcome.MaxListed {
		t.report.Kept = append(t.report.Kept, KeptItem{strings.Clone(path), asOf})
	}
}

// list records an entry as not restored.
func (t *teller) list(d *dir, e *index.Entry, err error) {
	item := outcome.FailureOf(d.Child(e.Name), e, err)
	t.failures.Add(item)
	t.tell(outcome.Item{Path: item.Path, Action: outcome.Failed, Type: e.Type, Size: e.Size, Err: item.Err})
}

// tell passes an item to Options.Item.
func (t *teller) tell(item outcome.Item) {
	if t.item == nil {
		return
	}
	t.itemLock.Lock()
	defer t.itemLock.Unlock()
	t.item(item)
}

// spared lists a folder in which nothing is deleted.
func (t *teller) spared(path string) {
	t.reportLock.Lock()
	defer t.reportLock.Unlock()
	t.report.Spared = append(t.report.Spared, strings.Clone(path))
}

// unsaved lists an entry that is not deleted, because the snapshot cannot contain it.
func (t *teller) unsaved(path, why string) {
	t.reportLock.Lock()
	defer t.reportLock.Unlock()
	t.report.UnsavedCount++
	if len(t.report.Unsaved) < outcome.MaxListed {
		t.report.Unsaved = append(t.report.Unsaved, UnsavedItem{strings.Clone(path), why})
	}
}

// otherTime lists an existing folder that differs from the snapshot in its time only.
func (t *teller) otherTime(path string) {
	t.reportLock.Lock()
	defer t.reportLock.Unlock()
	t.report.OtherTimesCount++
	if len(t.report.OtherTimes) < outcome.MaxListed {
		t.report.OtherTimes = append(t.report.OtherTimes, path)
	}
}

// failed handles an entry that could not be restored: it returns a cause that ends the run, and lists the entry
// otherwise.
func (t *teller) failed(d *dir, e *index.Entry, err error) error {
	if t.ends(err) {
		return err
	}
	t.list(d, e, err)
	return nil
}

// ends reports whether an error ends the run: ctx has ended, or nothing more can be written.
func (t *teller) ends(err error) bool {
	return t.ctx.Err() != nil || fsat.IsNoSpace(err) || errors.Is(err, syscall.EROFS)
}
