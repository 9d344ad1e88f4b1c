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
)

// EmptyOptions are the options of EmptyTrash.
type EmptyOptions struct {
	Threads int
	rate    int // names a second; 0: no limit
	idle    bool
	wait    bool // for another process that is emptying it
	removed func(names int)
}

func (how EmptyOptions) options() rmtree.Options {
	opt := rmtree.Options{Workers: how.Threads, Removed: how.removed}
	if how.rate > 0 {
		opt.Pace = (&pacer{each: time.Second / time.Duration(how.rate)}).pace
	}
	return opt
}

// EmptyTrash removes everything in the trash that no unfinished removal needs. It can be interrupted at any moment;
// the next EmptyTrash goes on.
func (a *Archive) EmptyTrash(ctx context.Context, how EmptyOptions) (err error) {
	trash, err := a.openTrash()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(trash)) }()
	if locked, err := lockTrash(ctx, a.Meta.Path(TrashDir), trash, how.wait); err != nil || !locked {
		return err
	}
	if how.idle {
		if err := fsat.IdleIO(); err != nil && !fsat.IsRefused(err) && !errors.Is(err, fs.ErrNotExist) { // no /proc
			return err
		}
	}
	opt := how.options()
	for { // another process may put more into the trash meanwhile
		list, err := a.Meta.listDerived(TrashDir)
		if err != nil {
			return err
		}
		stays := staying(list)
		if len(stays) == len(list) {
			return nil
		}
		if err := emptyListed(ctx, trash, list, stays, opt); err != nil {
			return fmt.Errorf("empty %s: %w", a.Meta.Path(TrashDir), err)
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

// HasTrash reports whether removed files still take space, because a removal was interrupted or is under way.
func (a *Archive) HasTrash() (bool, error) {
	list, err := a.Meta.listDerived(TrashDir)
	if err != nil {
		return false, err
	}
	return len(list) > 0, nil
}

// Unfinished reports whether a removal or a forgetting is unfinished, because it was interrupted or is under way.
// Remove, with or without names, finishes it.
func (a *Archive) Unfinished() (bool, error) {
	_, forgetting, err := a.Forgetting()
	if err != nil || forgetting {
		return forgetting, err
	}
	name, err := a.removingInPlace()
	if err != nil || name != "" {
		return name != "", err
	}
	return a.HasTrash()
}

// removedNames returns the names of removed snapshots that still take space.
func (a *Archive) removedNames() (list []string, err error) {
	all, err := a.Meta.listDerived(TrashDir)
	if err != nil {
		return nil, err
	}
	inPlace, err := a.removingInPlace()
	if err != nil {
		return nil, err
	}
	for _, file := range append(all, inPlace) {
		name, _, _ := strings.Cut(file, ".")
		if _, isName := ParseName(name); isName && (file == name || strings.HasPrefix(file, name+goneExt)) {
			list = append(list, name)
		}
	}
	return list, nil
}

// SyncFreed makes the file system count the space of removed files as free: some do so only when they write to the disk.
func (a *Archive) SyncFreed() error {
	if err := fsat.SyncFS(a.Root); err != nil {
		return fmt.Errorf("sync %s: %w", a.Path, err)
	}
	return nil
}

// staying returns the names in the trash that must not be removed yet, because the removal of their snapshot is not
// decided.
func staying(list []string) (stays []string) {
	for _, name := range list {
		base := strings.TrimSuffix(strings.TrimSuffix(name, CatalogExt), reportExt)
		if _, leaving := ParseName(base); leaving && slices.Contains(list, base) || strings.HasSuffix(name, openedExt) {
			stays = append(stays, name)
		}
	}
	return stays
}

// lockTrash takes the right to empty the trash.
func lockTrash(ctx context.Context, path string, trash int, wait bool) (bool, error) {
	for {
		ok, err := fsat.TryLock(trash)
		if err != nil {
			return false, CallFailed("lock", path, err)
		}
		if ok || !wait {
			return ok, nil
		}
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return false, err
		}
	}
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
		return Pause(ctx, at.Sub(now))
	}
	return nil
}
