package restore

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
)

// A restore that overwrites in an existing tree, and is killed, can leave a temporary name beside the entry that it
// was about to replace. That entry was not replaced, so the next restore of it comes to the same folder, and looks for
// the name there.

// maxSearched is the size of a folder up to which it is listed for that: listing a larger one would take longer than
// the work in it.
const maxSearched = 1 << 20

// removeLeftovers removes such names from an existing folder before an entry is made there, once.
func (c *clearer) removeLeftovers(w *worker, d *dir) error {
	if d.own || !c.target.alone || c.opt.DryRun || d.searched.Swap(true) {
		return nil
	}
	fd, err := fsat.OpenDir(d.dst(), ".") // a listing moves its handle
	if err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	var st fsat.Stat
	var list []fsat.DirEntry
	if err = fsat.StatHandle(fd, &st); err == nil && st.Size <= maxSearched {
		list, err = fsat.ReadDir(fd, make([]byte, 64<<10))
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return fmt.Errorf("list in target: %w", err)
	}
	for i := range list {
		name := list[i].Name
		if !w.isLeftover(d, name) || list[i].Type == fsat.Directory {
			continue
		}
		if _, known, err := c.catalog.Lookup(d.Child(name)); known || err != nil {
			continue // the snapshot has it, or cannot tell
		}
		if err := unlink(d.dst(), name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
