package prune

import (
	"context"
	"slices"

	"snapcopy/internal/archive"
)

// Catalogs returns snapshots in the form that Account and Top take.
func Catalogs(a *archive.Archive, list []archive.Snapshot) ([]Catalog, error) {
	var catalogs []Catalog
	for _, s := range list {
		records, err := a.RecordsOf(s.Name)
		if err != nil {
			return nil, err
		}
		catalogs = append(catalogs, Catalog{Name: s.Name, Path: s.CatalogPath, Records: Size(records)})
	}
	return catalogs, nil
}

// Measure finds which stored files the snapshots of an archive share.
func Measure(ctx context.Context, a *archive.Archive, list []archive.Snapshot) (*Space, error) {
	catalogs, err := Catalogs(a, list)
	if err != nil {
		return nil, err
	}
	return Account(ctx, catalogs, AccountOptions{Ledger: a.LedgerPath(), Anchor: a.Anchor})
}

// Freed returns the function for [archive.RemoveOptions] that computes the space freed by removing exactly the given
// snapshots. The function returns false if it cannot measure the archive, because a catalog is damaged for example.
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
