package history

import (
	"context"

	"snapcopy/index"
	"snapcopy/internal/pair"
)

// search looks for stored files, and for contents, in a whole catalog. It records the first path of each; "" means not
// found yet.
type search struct {
	stored   map[uint64]string
	contents map[index.Hash]string
}

func newSearch() *search {
	return &search{make(map[uint64]string), make(map[index.Hash]string)}
}

func (s *search) addStored(ino uint64) {
	if ino != 0 {
		s.stored[ino] = ""
	}
}

// addContent adds the content of e, unless it is empty: the empty content identifies no file.
func (s *search) addContent(e *index.Entry) {
	if e.Type == index.File && e.Size > 0 || e.Type == index.Dir && e.Below != (index.Totals{}) {
		s.contents[e.Hash] = ""
	}
}

// missing returns the number of stored files not found yet.
func (s *search) missing() (n int) {
	for _, path := range s.stored {
		if path == "" {
			n++
		}
	}
	return n
}

func (s *search) in(ctx context.Context, c *index.Catalog) error {
	if len(s.stored) == 0 && len(s.contents) == 0 {
		return nil
	}
	return c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if e.Type == index.Dir && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.look(dir, e)
		return nil
	})
}

// differing searches those folders of c, at a path and below it, that differ from another catalog.
func (s *search) differing(ctx context.Context, c, other *index.Catalog, path string) error {
	here, _, err := locate(c, path)
	if err != nil || !isFolder(here) {
		return err
	}
	there, _, err := locate(other, path)
	if err != nil {
		return err
	}
	return walkDiffering(ctx, c, other, path, here, there, func(dir string, e *index.Entry) error {
		s.look(dir, e)
		return nil
	})
}

func (s *search) look(dir string, e *index.Entry) {
	if path, wanted := s.stored[e.Stored]; wanted && path == "" && e.Type != index.Dir {
		s.stored[e.Stored] = index.Join(dir, e.Name)
	}
	if e.Type != index.File && e.Type != index.Dir {
		return
	}
	if path, wanted := s.contents[e.Hash]; wanted && path == "" {
		s.contents[e.Hash] = index.Join(dir, e.Name)
	}
}

// walkDiffering calls visit for every entry of those folders at e and below it that differ from another catalog; there
// is the entry of that catalog under the same path, or nil.
func walkDiffering(ctx context.Context, c, other *index.Catalog, dir string, e, there *index.Entry,
	visit func(dir string, e *index.Entry) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if there != nil && there.Type == index.Dir && there.Hash == e.Hash {
		return nil
	}
	a, err := openListing(c, e)
	if err != nil {
		return err
	}
	b, err := openListing(other, there)
	if err != nil {
		return err
	}
	for e, there := range pair.Lists(a.next, b.next, index.CompareNames) {
		if e == nil {
			continue
		}
		if err := visit(dir, e); err != nil {
			return err
		}
		if e.Type != index.Dir {
			continue
		}
		if err := walkDiffering(ctx, c, other, index.Join(dir, e.Name), e, there, visit); err != nil {
			return err
		}
	}
	return nil
}

// still returns the stored files found that another catalog has under the same path.
func (s *search) still(ctx context.Context, c *index.Catalog) (map[uint64]bool, error) {
	still := make(map[uint64]bool)
	found := false
	for _, path := range s.stored {
		found = found || path != ""
	}
	if !found {
		return still, nil
	}
	return still, c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if e.Type == index.Dir && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if path := s.stored[e.Stored]; path != "" && path == index.Join(dir, e.Name) {
			still[e.Stored] = true
		}
		return nil
	})
}
