package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/rmtree"
)

// finishForgetting takes the path of the note, if there is one, out of its snapshots. Each step can be repeated. The
// note goes last, when all is durable and the trash does not contain the path.
func (a *Locked) finishForgetting(ctx context.Context, step stepper) (finished *forgetNote, err error) {
	note, noteErr := a.readForgetNote()
	if couldNotLook(noteErr) {
		return nil, noteErr
	}
	if noteErr != nil { // mostly there is none; Findings reports an unreadable one
		return nil, nil
	}
	return &note, a.forgetAll(ctx, step, note)
}

// forgetAll takes the path of the note out of its snapshots, and removes the note.
func (a *Locked) forgetAll(ctx context.Context, step stepper, note forgetNote) error {
	w := forgetWork{Locked: a, ctx: ctx, step: step, path: string(note.Path), snapshots: note.Snapshots}
	if err := w.all(); err != nil {
		return err
	}
	if err := step.at("end of the note"); err != nil {
		return err
	}
	return errors.Join(os.Remove(a.Meta.Path(forgetFile)), atomicfile.SyncDir(a.Meta.Path()))
}

// forgetWork takes a path out of snapshots.
type forgetWork struct {
	*Locked
	ctx       context.Context
	step      stepper
	path      string
	snapshots []string
}

// all does all steps but the removal of the note.
func (w *forgetWork) all() error {
	if err := w.inEach(w.takeOut, w.takeOutDamaged); err != nil {
		return err
	}
	if err := w.step.at("removal of what is forgotten"); err != nil { // now, because it may free space for the next steps
		return err
	}
	if err := w.emptyForgotten(); err != nil {
		return err
	}
	if err := w.inEach(w.rewriteRecords, func(name string) error { return w.rewriteReport(name, true) }); err != nil {
		return err
	}
	if err := w.rewriteUnpublished(); err != nil {
		return err
	}
	if err := w.rewriteDamaged(); err != nil {
		return err
	}
	if err := w.step.at("sync of what is forgotten"); err != nil {
		return err
	}
	if err := callFailed("sync", w.Path, fsat.SyncFS(w.Root)); err != nil {
		return err
	}
	if err := w.step.at("content-hash index"); err != nil { // it says where in the catalogs files are
		return err
	}
	if err := w.indexAnew(w.ctx); err != nil {
		return fmt.Errorf("content-hash index: %w", err)
	}
	return nil
}

// inEach calls do with the catalog of each snapshot. Damage to a catalog, or its loss, in the meantime must neither keep
// the path in that snapshot nor stop the others: inEach then calls damaged for the snapshot, as it does for a removed
// snapshot, which is no error.
func (w *forgetWork) inEach(do func(c *index.Catalog, name string) error, damaged func(name string) error) error {
	for _, name := range w.snapshots {
		err := w.withRoom(w.ctx, func() error {
			err := w.inCatalog(name, do)
			if errors.Is(err, index.ErrDamaged) || errors.Is(err, ErrNoCatalog) {
				err = damaged(name)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("forget a path in %s: %w", name, err)
		}
	}
	return nil
}

// emptyForgotten removes forgotten entries from the trash, so that they cannot be found there.
func (w *forgetWork) emptyForgotten() (err error) {
	trash, err := w.Trash.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
	opt := rmtree.Options{Spare: func(name string) bool { return !strings.Contains(name, forgottenExt) }}
	if err := rmtree.Empty(w.ctx, trash.fd, opt); err != nil {
		return fmt.Errorf("empty %s: %w", w.Meta.Path(trashDir), err)
	}
	return trash.sync()
}

// isOf reports whether a catalog describes the snapshot in whose place it is.
func isOf(c *index.Catalog, name string) bool { return c.Summary().Snapshot == name }

// rewriteRecords takes a path out of the catalog and the report of a snapshot. A catalog of another snapshot must not
// keep the path either, and does not tell whether the snapshot had it.
func (w *forgetWork) rewriteRecords(c *index.Catalog, name string) error {
	_, found, err := c.Lookup(w.path)
	if err != nil {
		return err
	}
	if err := w.rewriteReport(name, found || !isOf(c, name)); err != nil || !found { // before the catalog, by which Recover finds the path
		return err
	}
	return w.rewriteCatalog(c, name)
}

// rewriteCatalog replaces a catalog that has the path by one without it.
func (w *forgetWork) rewriteCatalog(c *index.Catalog, name string) error {
	return w.replaceCatalog(name, w.step, func(f *os.File) error { return writeWithout(w.ctx, f, c, w.path) })
}

func writeWithout(ctx context.Context, f *os.File, c *index.Catalog, path string) error {
	out, err := index.NewWriter(f)
	if err != nil {
		return err
	}
	if _, err := c.CopyWithout(ctx, out, path); err != nil {
		return err
	}
	return f.Sync()
}

// rewriteReport takes failed and left-out entries at the path out of a run report. The report keeps the folder from
// which an entry was forgotten, so that a restore does not take the user's file there for one that never was in the
// snapshot, and delete it.
func (w *forgetWork) rewriteReport(name string, contains bool) error {
	r, err := w.Reports.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return w.dropReport(name, err)
	}
	before := len(r.Failed) + len(r.LeftOut) + len(r.Altered) + len(r.Rotten) + len(r.ForgottenIn)
	at := func(item string) bool { return item == w.path || strings.HasPrefix(item, w.path+"/") }
	r.Failed = slices.DeleteFunc(r.Failed, func(f FailedItem) bool { return at(f.Path) })
	named := len(r.LeftOut)
	r.LeftOut = slices.DeleteFunc(r.LeftOut, func(l LeftOutItem) bool { return at(l.Path) })
	r.LeftOutCount -= uint64(named - len(r.LeftOut))
	r.Altered = slices.DeleteFunc(r.Altered, func(a Altered) bool { return at(a.Path) })
	r.Rotten = slices.DeleteFunc(r.Rotten, func(f Rotten) bool { return at(f.Path) })
	r.ForgottenIn = slices.DeleteFunc(r.ForgottenIn, func(l LeftOutItem) bool { return at(l.Path) })
	changed := len(r.Failed)+len(r.LeftOut)+len(r.Altered)+len(r.Rotten)+len(r.ForgottenIn) != before
	if folder, _ := splitPath(w.path); (contains || changed) &&
		!slices.ContainsFunc(r.ForgottenIn, func(l LeftOutItem) bool { return l.Path == folder }) {
		r.ForgottenIn = append(r.ForgottenIn, LeftOutItem{folder, "forget-path"})
		changed = true
	}
	if !changed {
		return nil
	}
	if err := w.step.at("report"); err != nil {
		return err
	}
	r.Archive = w.Path
	return w.WriteReport(r)
}

// dropReport removes a damaged run report, because it may name the forgotten path and cannot be searched for it.
func (w *forgetWork) dropReport(name string, damage error) error {
	var kind *plainfile.KindError
	if errors.As(damage, &kind) {
		return w.Meta.putAside(filepath.Join(RunsDir, name+reportExt), kind.Is)
	}
	var errno syscall.Errno
	if errors.As(damage, &errno) { // it could not be read this time, and may be sound
		return damage
	}
	if err := os.Remove(w.Reports.path(name)); err != nil {
		return err
	}
	w.Meta.note("the damaged %v was removed, as it might name the forgotten path", damage)
	return nil
}
