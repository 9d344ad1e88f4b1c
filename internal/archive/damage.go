package archive

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/verified"
)

// Damage returns the damage that checks have found and none has found sound since, under names of snapshots that exist: that
// of a stored file stays, whichever snapshots were removed, until no snapshot has the stored file.
func (a *Archive) Damage(ctx context.Context) (*verified.Note, error) {
	n, err := a.Verified().Damage()
	if err == nil && len(n.Damaged) > 0 {
		err = a.DropNames(ctx, n, func(*verified.Damaged, verified.Name) bool { return false })
	}
	return n, err
}

// DropNames takes names of snapshots that are gone out of a note of damage, names for which drop is true, and damage without
// a name left. But a damaged stored file that has lost all its names gets those that other snapshots have for it. It is
// dropped only if there are none; if a catalog cannot be read, or ctx is done, so that there may be one, it keeps its old
// names. After an error the note is as it was.
func (a *Archive) DropNames(ctx context.Context, n *verified.Note, drop func(*verified.Damaged, verified.Name) bool) error {
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	exists, err := a.snapshotNames(snapshots)
	if err != nil {
		return err
	}
	gone := func(d *verified.Damaged, name verified.Name) bool { return !exists[name.Snapshot] || drop(d, name) }
	found := make(map[*verified.Damaged]*verified.Damaged)
	for i := range n.Damaged {
		d := &n.Damaged[i]
		if d.Kind == verified.Content && !slices.ContainsFunc(d.Names, func(name verified.Name) bool { return !gone(d, name) }) {
			found[d] = &verified.Damaged{Kind: d.Kind, Stored: d.Stored, Hash: d.Hash}
		}
	}
	complete, err := a.AddNames(ctx, slices.Collect(maps.Values(found)), snapshots)
	if err != nil {
		return err
	}
	unknown := make(map[*verified.Damaged]bool)
	for d, now := range found {
		switch {
		case len(now.Names) > 0:
			d.Names, d.More = now.Names, now.More
		case !complete:
			unknown[d] = true
		}
	}
	n.DropNames(func(d *verified.Damaged, name verified.Name) bool { return !unknown[d] && gone(d, name) })
	return nil
}

// snapshotNames has the names of the snapshots in the list, of those that lack their catalog or their folder, and "", which
// stands for the archive.
func (a *Archive) snapshotNames(list []Snapshot) (map[string]bool, error) {
	lost, lostErr := a.WithoutCatalog() // they are damage themselves
	gone, goneErr := a.WithoutFolder()
	exists := map[string]bool{"": true}
	for _, s := range list {
		exists[s.Name] = true
	}
	for _, name := range slices.Concat(lost, gone) {
		exists[name] = true
	}
	return exists, errors.Join(lostErr, goneErr)
}

// AddNames adds to damaged contents the names that their stored files have in snapshots. It reads the catalogs, if there is
// anything to look for; complete is false if it could not read all of them, or ctx is done.
func (a *Archive) AddNames(ctx context.Context, list []*verified.Damaged, snapshots []Snapshot) (complete bool, err error) {
	byHash := make(map[index.Hash][]*verified.Damaged)
	for _, d := range list {
		byHash[d.Hash] = append(byHash[d.Hash], d)
	}
	if len(byHash) == 0 {
		return true, nil
	}
	complete = true
	for _, s := range snapshots {
		c, err := s.OpenCatalog()
		if err != nil {
			complete = false
			continue
		}
		anchored := c.Summary().Anchor == a.Anchor
		err = c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
			if e.Type != index.File || ctx.Err() != nil {
				return ctx.Err()
			}
			for _, d := range byHash[e.Hash] {
				if a.isStored(s.Name, dir, e, d.Stored, anchored) {
					d.AddName(verified.Name{Snapshot: s.Name, Path: index.Join(dir, e.Name)})
				}
			}
			return nil
		})
		complete = complete && err == nil // the names up to the damage of the catalog are known
		if err := c.Close(); err != nil || ctx.Err() != nil {
			return false, err
		}
	}
	return complete, nil
}

// isStored reports whether an entry's stored file has the inode number, in its catalog or, if that does not hold here any
// more, on the disk.
func (a *Archive) isStored(snapshot, dir string, e *index.Entry, stored uint64, anchored bool) bool {
	if e.Stored == stored && stored != 0 || anchored && e.Stored != 0 {
		return e.Stored == stored
	}
	path := []string{snapshot}
	if dir != "" {
		path = append(path, strings.Split(dir, "/")...)
	}
	fd, err := fsat.OpenBelow(a.Root, path)
	if err != nil {
		return false
	}
	var st fsat.Stat
	found := fsat.StatAt(fd, e.Name, &st) == nil && st.Ino == stored
	_ = fsat.Close(fd) // only looked at
	return found
}
