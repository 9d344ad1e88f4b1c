package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// Catalogs is the first part of a repair, before damage is looked for: it finishes what an interrupted command has begun, and
// puts back the lost and damaged catalogs of all snapshots. Only with a catalog can anybody tell what else is damaged in its
// snapshot. From a copy of the archive, among the archives in From, it takes the catalog itself; otherwise it makes the
// catalog anew, as RebuildCatalog does.
func Catalogs(ctx context.Context, a *archive.Archive, opt Options) (*Report, error) {
	return run(ctx, a, opt, func(r *repairer) (err error) {
		if r.opt.Catalogs, err = badCatalogs(ctx, a); err != nil {
			return err
		}
		if _, err := r.putCatalogs(); err != nil {
			return err
		}
		if r.snapshots, err = a.Snapshots(); err != nil {
			return err
		}
		return r.rebuildIndex()
	})
}

// badCatalogs returns the snapshots whose catalogs are lost or damaged. Of catalogs that cannot be looked at verify tells.
func badCatalogs(ctx context.Context, a *archive.Archive) (list []string, err error) {
	if list, err = a.WithoutCatalog(); err != nil {
		return nil, err
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		why, err := catalogFault(ctx, s)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && why != nil {
			list = append(list, s.Name)
		}
	}
	return list, nil
}

// putCatalogs puts the lost and damaged catalogs back. again names the snapshots whose catalogs are sound when they are read
// again.
func (r *repairer) putCatalogs() (again []string, err error) {
	for _, name := range r.opt.Catalogs {
		s := archive.Snapshot{Name: name, CatalogPath: r.archive.CatalogPath(name)}
		why, err := catalogFault(r.ctx, s)
		if err == nil && why == nil {
			again = append(again, name)
			continue
		}
		if err == nil {
			err = r.putCatalog(name, why)
		}
		if err != nil {
			return again, fmt.Errorf("catalog of %s: %w", name, err)
		}
	}
	return again, nil
}

// putCatalog puts one catalog back.
func (r *repairer) putCatalog(name string, why error) error {
	item := &Item{What: OfCatalog, Names: []Name{{Snapshot: name}}, Found: why.Error()}
	from, err := r.copyWith(name)
	if err != nil {
		return err
	}
	if from != nil {
		item.Origin = &Origin{Kind: FromCopy, Archive: from.Path, Snapshot: name}
	} else {
		item.Origin = &Origin{Kind: FromFolder, Snapshot: name}
	}
	if r.lock == nil {
		r.report.Unexamined++
	} else {
		r.opt.Index = true
		if from != nil {
			_, err = r.lock.PutCatalog(name, r.opt.Fault, func(f *os.File) error { return copyCatalog(f, from.CatalogPath(name)) })
			if err == nil {
				err = r.forgetDamagedRecords(name, nil)
			}
		} else {
			err = r.rebuild(name)
		}
		if err != nil {
			return err
		}
	}
	return r.tell(item)
}

// copyWith returns an archive that has the catalog of the snapshot as this archive has written it; nil: none. After
// forget-path this archive's catalog had fewer entries.
func (r *repairer) copyWith(name string) (*archive.Archive, error) {
	report, err := r.archive.Reports.Read(name)
	if err != nil || len(report.ForgottenIn) > 0 { // without the report, nobody knows
		return nil, nil
	}
	for _, other := range r.opt.From {
		c, err := index.Open(other.CatalogPath(name))
		if err != nil {
			continue // one of several places to look at
		}
		sum := c.Summary()
		isOurs := sum.Snapshot == name && sum.Anchor == r.archive.Anchor
		if isOurs {
			isOurs = c.Check(r.ctx) == nil
		}
		if err := c.Close(); err != nil {
			return nil, err
		}
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		if isOurs {
			return other, nil
		}
	}
	return nil, nil
}

// copyCatalog copies a catalog, and syncs it.
func copyCatalog(to *os.File, path string) (err error) {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}

// rebuild makes a catalog anew from the snapshot's folder.
func (r *repairer) rebuild(name string) error {
	made, err := rebuildCatalog(r.ctx, r.lock, name, CatalogOptions{Progress: r.opt.Progress, Fault: r.opt.Fault})
	if err != nil {
		return err
	}
	for _, path := range made.Damaged {
		r.opt.Suspects = append(r.opt.Suspects, Suspect{Snapshot: name, Path: path})
	}
	for _, path := range made.Unreadable {
		lost := &Item{What: OfEntry, Names: []Name{{name, path}}, Found: "its content cannot be read, and no catalog tells what it was",
			Err: ErrNoContent}
		if err := r.tell(lost); err != nil {
			return err
		}
	}
	return nil
}
