package prune

import (
	"context"
	"slices"

	"snapcopy/internal/archive"
)

// Catalogs lists what Account and Top need of snapshots.
func Catalogs(a *archive.Archive, list []archive.Snapshot) ([]Catalog, error) {
	var catalogs []Catalog
	for _, s := range list {
		records, err := a.RecordsOf(s.Name)
		if err != nil {
			return nil, err
		}
		catalogs = append(catalogs, Catalog{Name: s.Name, Path: s.Catalog, Records: Size(records)})
	}
	return catalogs, nil
}

// Measure counts which of the snapshots of an archive hold what.
func Measure(ctx context.Context, a *archive.Archive, list []archive.Snapshot) (*Space, error) {
	catalogs, err := Catalogs(a, list)
	if err != nil {
		return nil, err
	}
	return Account(ctx, catalogs, AccountOptions{Ledger: a.LedgerPath(), Anchor: a.Anchor()})
}

// Freed answers what [archive.RemoveOptions] asks: what removing exactly some snapshots frees. That is not known where a catalog
// is damaged.
func Freed(a *archive.Archive) func(context.Context, []string) (uint64, bool) {
	return func(ctx context.Context, names []string) (uint64, bool) {
		list, err := a.Snapshots()
		if err != nil {
			return 0, false
		}
		space, err := Measure(ctx, a, list)
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
