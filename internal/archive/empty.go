package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/workers"
)

// emptying are the options of Trash.empty.
type emptying struct {
	threads int
	rate    int // names a second; 0: no limit
	idle    bool
	wait    bool // for another process that is emptying it
	removed func(names int)
}

func (how emptying) options() rmtree.Options {
	opt := rmtree.Options{Workers: how.threads, Removed: how.removed}
	if how.rate > 0 {
		opt.Pace = (&pacer{each: time.Second / time.Duration(how.rate)}).pace
	}
	return opt
}

// Empty removes everything in the trash that no unfinished removal needs, with as many workers as RemoveOptions.Threads
// says; it does nothing if another process does so. It can be interrupted at any moment; the next Empty goes on.
func (t Trash) Empty(ctx context.Context, threads int) error {
	return t.empty(ctx, emptying{threads: threads})
}

func (t Trash) empty(ctx context.Context, how emptying) (err error) {
	trash, err := t.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
	if locked, err := trash.lock(ctx, how.wait); err != nil || !locked {
		return err
	}
	if how.idle {
		if err := fsat.IdleIO(); err != nil && !fsat.IsRefused(err) && !errors.Is(err, fs.ErrNotExist) { // no /proc
			return err
		}
	}
	opt := how.options()
	for { // another process may put more into the trash meanwhile
		list, err := t.list()
		if err != nil {
			return err
		}
		stays := staying(list)
		if len(stays) == len(list) {
			return nil
		}
		if err := emptyListed(ctx, trash.fd, list, stays, opt); err != nil {
			return fmt.Errorf("empty %s: %w", t.meta.Path(trashDir), err)
		}
	}
}

// emptyListed removes the listed names from the trash, but for those that stay. Catalogs go last: after an
// interruption, they tell how many names are left to remove.
func emptyListed(ctx context.Context, trash int, list, stays []string, opt rmtree.Options) error {
	spare := func(name string) bool { return slices.Contains(stays, name) || !slices.Contains(list, name) }
	opt.Spare = func(name string) bool { return spare(name) || strings.HasSuffix(name, CatalogExt) }
	if err := rmtree.Empty(ctx, trash, opt); err != nil {
		return err
	}
	opt.Spare = spare
	return rmtree.Empty(ctx, trash, opt)
}

// A pacer lets names through at a limited rate.
type pacer struct {
	each time.Duration
	mu   sync.Mutex
	next time.Time
}

func (p *pacer) pace(ctx context.Context, names int) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	at := p.next
	p.next = at.Add(time.Duration(names) * p.each)
	p.mu.Unlock()
	if at.After(now) {
		return workers.Pause(ctx, at.Sub(now))
	}
	return nil
}
