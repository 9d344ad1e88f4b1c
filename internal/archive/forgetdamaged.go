package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"snapcopy/internal/verified"
)

// rewriteDamaged takes the path, with all below it, out of the note of damage. A damaged stored file with other names stays,
// under these.
func (w *forgetWork) rewriteDamaged() error {
	isForgotten := func(_ *verified.Damaged, name verified.Name) bool {
		return name.Path == w.path || strings.HasPrefix(name.Path, w.path+"/")
	}
	var namesErr error
	err := w.updateDamage(w.ctx, func(n *verified.Note) {
		namesErr = w.DropNames(w.ctx, n, isForgotten)
		n.DropNames(isForgotten) // also where a catalog could not be read for other names
		for i := range n.Damaged {
			if d := &n.Damaged[i]; mentions(d.Found, w.path) {
				d.Found = "damage at a path that was forgotten"
			}
		}
	})
	return errors.Join(err, namesErr)
}

// forgetDamage takes the names that were exchanged out of the note of damage.
func (w *exchangeWork) forgetDamage() error {
	sound := make(map[verified.Name]bool)
	for i := range w.list {
		if w.list[i].Missed {
			continue
		}
		sound[verified.Name{Snapshot: w.list[i].Snapshot, Path: string(w.list[i].Path)}] = true
	}
	return w.updateDamage(w.ctx, func(n *verified.Note) {
		n.DropNames(func(d *verified.Damaged, name verified.Name) bool { return d.Kind != verified.Records && sound[name] })
	})
}

// ForgetDamagedRecords takes the damage of a snapshot's catalog out of the note of damage, as it was made anew; without a
// snapshot, damage of the archive that was told as what.
func (a *Locked) ForgetDamagedRecords(ctx context.Context, snapshot string, what error) error {
	return a.updateDamage(ctx, func(n *verified.Note) {
		n.DropNames(func(d *verified.Damaged, name verified.Name) bool {
			return d.Kind == verified.Records && name.Snapshot == snapshot &&
				(snapshot != "" || strings.Contains(d.Found, what.Error()))
		})
	})
}

func (a *Locked) updateDamage(ctx context.Context, change func(*verified.Note)) error {
	err := a.withRoom(ctx, func() error { return a.Verified().UpdateDamage(ctx, change) })
	if err != nil {
		return fmt.Errorf("note of damage: %w", err)
	}
	return nil
}
