package archive

import (
	"fmt"
	"strings"

	"snapcopy/internal/verified"
)

// rewriteDamaged takes the path, with all below it, out of the note of damage.
func (w *forgetWork) rewriteDamaged() error {
	err := w.Verified().UpdateDamage(w.ctx, func(n *verified.Note) {
		n.DropNames(func(_ *verified.Damaged, name verified.Name) bool {
			return name.Path == w.path || strings.HasPrefix(name.Path, w.path+"/")
		})
		for i := range n.Damaged {
			if d := &n.Damaged[i]; mentions(d.Found, w.path) {
				d.Found = "damage at a path that was forgotten"
			}
		}
	})
	if err != nil {
		return fmt.Errorf("note of damage: %w", err)
	}
	return nil
}
