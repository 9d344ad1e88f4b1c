package main

import (
	"context"
	"slices"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// catalogsOf lists what counting space needs of snapshots.
func catalogsOf(archive *archive.Archive, list []archive.Snapshot) ([]prune.Catalog, error) {
	var catalogs []prune.Catalog
	for _, s := range list {
		records, err := archive.RecordsOf(s.Name)
		if err != nil {
			return nil, err
		}
		catalogs = append(catalogs, prune.Catalog{Name: s.Name, Path: s.Catalog, Records: prune.Size(records)})
	}
	return catalogs, nil
}

// spaceOf counts which of the snapshots hold what.
func (a *app) spaceOf(ctx context.Context, archive *archive.Archive, list []archive.Snapshot) (*prune.Space, error) {
	catalogs, err := catalogsOf(archive, list)
	if err != nil {
		return nil, err
	}
	return prune.Account(ctx, catalogs, prune.AccountOptions{
		Ledger: archive.LedgerPath(),
		Anchor: archive.Anchor(),
	})
}

// freedBy gives what Remove asks for: what removing exactly some snapshots frees. It is not known where a catalog is
// damaged.
func (a *app) freedBy(archive *archive.Archive) func(context.Context, []string) (uint64, bool) {
	return func(ctx context.Context, names []string) (uint64, bool) {
		list, err := archive.Snapshots()
		if err != nil {
			return 0, false
		}
		space, err := a.spaceOf(ctx, archive, list)
		if err != nil {
			return 0, false
		}
		var gone []int
		for i, name := range space.Snapshots {
			if slices.Contains(names, name) {
				gone = append(gone, i)
			}
		}
		return space.Freed(gone...).Bytes, true
	}
}

// doubts says why figures about space may be wrong, a sentence each.
func doubts(archive *archive.Archive, space *prune.Space) (list []string) {
	if len(space.Doubtful) > 0 {
		list = append(list, "The archive was copied here after "+space.Snapshots[space.Doubtful[len(space.Doubtful)-1]]+
			": what the snapshots up to that one share with later ones is not known, and their figures are too high.")
	}
	if archive.Info.Capabilities.Reflink {
		list = append(list, "Files here can share blocks without being links of one another. Each is counted in full: "+
			"removing it may free less.")
	}
	return list
}

// leftOut says what the archive holds that figures about all of it leave out, a sentence each.
func leftOut(archive *archive.Archive) (list []string, err error) {
	trash, err := archive.HasTrash()
	if err != nil {
		return nil, err
	}
	if trash {
		list = append(list, "The space of what was removed is not given back yet, and not counted here: the next prune, "+
			"remove or snapshot goes on with that.")
	}
	work, err := archive.HasWork()
	if work {
		list = append(list, "What a run has copied that is under way, or was cut short, is not counted here.")
	}
	return list, err
}
