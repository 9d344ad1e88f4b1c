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

// EmptyOptions is how the trash is to be emptied.
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

// EmptyTrash removes what is in the trash and needed no more. It can be cut short at any moment; the next one goes on.
func (a *Archive) EmptyTrash(ctx context.Context, how EmptyOptions) (err error) {
	trash, err := a.openTrash()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(trash)) }()
	if locked, err := lockTrash(ctx, a.MetaPath(TrashDir), trash, how.wait); err != nil || !locked {
		return err
	}
	if how.idle {
		if err := fsat.IdleIO(); err != nil && !fsat.IsRefused(err) && !errors.Is(err, fs.ErrNotExist) { // no /proc
			return err
		}
	}
	opt := how.options()
	for { // while it is emptied, another process may put more there
		list, err := a.listDerived(TrashDir)
		if err != nil {
			return err
		}
		stays := staying(list)
		if len(stays) == len(list) {
			return nil
		}
		spare := func(name string) bool { return slices.Contains(stays, name) || !slices.Contains(list, name) }
		// What is known of the snapshots goes last: it tells how much there is to do, if this is cut short.
		records := func(name string) bool { return strings.HasSuffix(name, CatalogExt) }
		opt.Spare = func(name string) bool { return spare(name) || records(name) }
		if err := rmtree.Empty(ctx, trash, opt); err != nil {
			return fmt.Errorf("empty %s: %w", a.MetaPath(TrashDir), err)
		}
		opt.Spare = spare
		if err := rmtree.Empty(ctx, trash, opt); err != nil {
			return fmt.Errorf("empty %s: %w", a.MetaPath(TrashDir), err)
		}
	}
}

// HasTrash reports whether there is something that was removed and whose space is not given back yet, or not all of it:
// removing was cut short, or is under way.
func (a *Archive) HasTrash() (bool, error) {
	list, err := a.listDerived(TrashDir)
	if err != nil {
		return false, err
	}
	return len(list) > 0, nil
}

// Unfinished reports whether there is something that an earlier command has begun to remove or to forget, and that was cut
// short or is under way. Remove, with or without names, finishes it.
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

// Removed lists the names of snapshots that are gone and whose space is not given back yet, or not all of it.
func (a *Archive) Removed() (list []string, err error) {
	all, err := a.listDerived(TrashDir)
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

// Settle makes the file system count as free what was removed: some do so only when they write to the disk.
func (a *Archive) Settle() error {
	if err := fsat.SyncFS(a.Root); err != nil {
		return fmt.Errorf("sync %s: %w", a.Path, err)
	}
	return nil
}

// staying lists what of the trash must not be removed: that of which removing is not decided.
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
