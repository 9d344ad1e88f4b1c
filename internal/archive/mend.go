package archive

import (
	"context"
	"fmt"

	"snapcopy/internal/fsat"
)

// mend puts the archive's own folders and files in order: it makes missing derived ones anew, moves objects of the
// wrong type aside, and removes temporary files of interrupted processes. Meta.Mended reports the changes.
func (a *Locked) mend() error {
	if err := a.Meta.mendDirs(); err != nil {
		return err
	}
	if err := a.Meta.clearPlaces(); err != nil {
		return err
	}
	if err := a.Meta.removePending(); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	err := a.withRoom(context.Background(), a.mendInfo)
	if fsat.IsNoSpace(err) { // removing does not need archive.json, and makes space for the next Lock
		return nil
	}
	return err
}
