package history

import (
	"context"
	"errors"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/lookup"
)

// NotFoundError is a [lookup.NotFoundError] that also has the other snapshots with the path.
type NotFoundError struct {
	*lookup.NotFoundError
	Elsewhere *Sighting  // nil: no snapshot has it
	Unusable  []Unusable // snapshots that could not be asked
}

func (e *NotFoundError) Error() string {
	text := e.NotFoundError.Error()
	if e.Elsewhere != nil {
		text += "; it is " + e.Elsewhere.span()
	}
	for i, u := range e.Unusable {
		if i == 0 {
			text += "; not asked, for their catalogs cannot be read:"
		} else {
			text += ","
		}
		text += " " + u.Snapshot
	}
	return text
}

func (e *NotFoundError) Unwrap() error { return e.NotFoundError }

// NotFound returns the error for a path that is not in the snapshot of a catalog: a *[lookup.NotFoundError] with the
// nearest names and with those of the archive's snapshots, given the oldest first, that have the path.
func NotFound(ctx context.Context, c *index.Catalog, snapshots []archive.Snapshot, path string) error {
	err := lookup.NotFound(c, path, index.CleanPath(path))
	missing := new(NotFoundError)
	if !errors.As(err, &missing.NotFoundError) {
		return err
	}
	h, err := OpenHistory(ctx, snapshots)
	if err != nil {
		return errors.Join(missing, err)
	}
	seen, ok, err := h.Seen(ctx, path)
	if ok {
		missing.Elsewhere = &seen
	}
	missing.Unusable = h.Unusable()
	if err := errors.Join(err, h.Close()); err != nil {
		return errors.Join(missing, err)
	}
	return missing
}
