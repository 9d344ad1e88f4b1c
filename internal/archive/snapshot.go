package archive

import (
	"errors"
	"fmt"
	"time"

	"snapcopy/index"
)

// Snapshot is a published snapshot.
type Snapshot struct {
	Name        string
	Time        time.Time // start of the run, from the name
	CatalogPath string    // of its catalog file
	Dir         string    // path of its folder, directly in the archive
}

// OpenCatalog opens the catalog of s. The catalog of another snapshot in its place is damage: its records do not
// describe the files of s.
func (s Snapshot) OpenCatalog() (*index.Catalog, error) {
	c, err := index.Open(s.CatalogPath)
	if err != nil {
		return nil, err
	}
	if of := c.Summary().Snapshot; of != s.Name {
		err := &index.DamageError{Path: s.CatalogPath, Reason: fmt.Errorf("it is the catalog of snapshot %q", of)}
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// OpenSnapshot is a snapshot to read from. Readers of its entries use Catalog and Dir alone.
type OpenSnapshot struct {
	Snapshot
	Catalog *index.Catalog
	hold    *Hold
}

// Open opens s to be read: until Close, no process removes it.
func (s Snapshot) Open() (*OpenSnapshot, error) {
	hold, err := s.Hold()
	if err != nil {
		return nil, err
	}
	c, err := s.OpenCatalog()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot %s: %w", s.Name, err), hold.Release())
	}
	return &OpenSnapshot{s, c, hold}, nil
}

// Close closes the catalog and ends the hold.
func (s *OpenSnapshot) Close() error { return errors.Join(s.Catalog.Close(), s.hold.Release()) }

// NameAt returns the name of a snapshot whose run starts at t.
func NameAt(t time.Time) string { return t.UTC().Format(nameLayout) }

// IsName reports whether a snapshot can have the name.
func IsName(name string) bool {
	_, ok := ParseName(name)
	return ok
}

// ParseName reads the time from a snapshot's name.
func ParseName(name string) (time.Time, bool) {
	t, err := time.Parse(nameLayout, name)
	return t, err == nil && t.Format(nameLayout) == name
}
