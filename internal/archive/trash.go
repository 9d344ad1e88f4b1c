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
	"time"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/workers"
)

// Trash is the folder of snapshots on their way out. The meaning of its names:
//
//	NAME          the folder of a snapshot that is gone for every command, but its catalog and report may still be in
//	              their places, and the content-hash index may know it
//	NAME.cat      its catalog, and NAME.json its report; needed as long as there is NAME
//	NAME.opened   a note: the folder of the snapshot NAME was given write permission, to be moved; it has not been
//	all others    to be removed
//
// Only a process with the archive's lock moves names here. Emptying needs no more than the lock on the trash folder
// itself, so that a nightly run never waits for it.
type Trash struct{ meta *Meta }

// Parts of names in the trash.
const (
	openedExt    = ".opened"
	goneExt      = ".gone"      // of a folder that nothing knows of any more
	forgottenExt = ".forgotten" // of entries taken out by ForgetPath
)

func (t Trash) path(name string) string { return t.meta.Path(trashDir, name) }

func (t Trash) list() ([]string, error) { return t.meta.listDerived(trashDir) }

// IsEmpty reports whether no removed file takes space any more. If not, a removal was interrupted or is under way.
func (t Trash) IsEmpty() (bool, error) {
	list, err := t.list()
	return len(list) == 0, err
}

// isLeaving reports whether a snapshot's folder is in the trash and its records are to follow.
func (t Trash) isLeaving(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

// leaving returns the snapshots whose removal is unfinished.
func (t Trash) leaving() (list []string, err error) {
	all, err := t.list()
	for _, name := range all {
		if _, ok := ParseName(name); ok {
			list = append(list, name)
		}
	}
	return list, err
}

// names returns the number of names in the trash, as far as the catalogs there tell.
func (t Trash) names() (n uint64) {
	list, err := t.list()
	if err != nil {
		return 0 // emptying will say so
	}
	for _, name := range list {
		if !strings.HasSuffix(name, CatalogExt) {
			continue
		}
		c, err := index.Open(t.path(name))
		if err != nil {
			continue // it only tells how much there is to do
		}
		counts := c.Summary().Counts
		n += counts.Files + counts.Dirs
		_ = c.Close() // only read
	}
	return n
}

// staying returns the names in the trash that must not be removed yet, because the removal of their snapshot is not
// decided.
func staying(list []string) (stays []string) {
	for _, name := range list {
		base := strings.TrimSuffix(strings.TrimSuffix(name, CatalogExt), reportExt)
		if _, leaving := ParseName(base); leaving && slices.Contains(list, base) || strings.HasSuffix(name, openedExt) {
			stays = append(stays, name)
		}
	}
	return stays
}

// openTrash is the trash with a handle of its folder.
type openTrash struct {
	Trash
	fd int
}

func (t Trash) open() (*openTrash, error) {
	fd, err := t.meta.Open(trashDir)
	return &openTrash{t, fd}, err
}

func (t *openTrash) close() error { return fsat.Close(t.fd) }

// sync makes the names in the trash durable.
func (t *openTrash) sync() error { return callFailed("sync", t.meta.Path(trashDir), fsat.Sync(t.fd)) }

// lock takes the right to empty the trash, until close. It waits for another process that has it only if told.
func (t *openTrash) lock(ctx context.Context, wait bool) (bool, error) {
	for {
		ok, err := fsat.TryLock(t.fd)
		if err != nil {
			return false, callFailed("lock", t.meta.Path(trashDir), err)
		}
		if ok || !wait {
			return ok, nil
		}
		if err := workers.Pause(ctx, 100*time.Millisecond); err != nil {
			return false, err
		}
	}
}

// A stepper is called before each change of the archive, and makes the step fail in tests.
type stepper func(name string) error

func (s stepper) at(name string) error {
	if s == nil {
		return nil
	}
	return s(name)
}

// take moves the folder of a snapshot from the archive's folder, root, into the trash: from then on it is gone for
// every command. Without privileges a folder can only be moved by who may write to it; a note makes sure that its mode
// comes back if it stays after all.
func (t *openTrash) take(root int, name string, step stepper) error {
	err := step.at("take away")
	if err == nil {
		err = fsat.RenameNew(root, name, t.fd, name)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var st fsat.Stat
	if statErr := fsat.StatAt(root, name, &st); statErr != nil || st.Type != fsat.Directory || st.Mode&0o200 != 0 {
		return err
	}
	if err := step.at("note of the mode"); err != nil {
		return err
	}
	note := t.path(name + openedExt)
	if err := errors.Join(os.WriteFile(note, nil, 0o600), t.sync()); err != nil {
		return err
	}
	if err := step.at("open the folder"); err != nil {
		return err
	}
	if err := fsat.ChmodAt(root, name, st.Mode|0o700); err != nil {
		return errors.Join(err, os.Remove(note))
	}
	if err := step.at("take away the folder"); err != nil {
		return err
	}
	if err := fsat.RenameNew(root, name, t.fd, name); err != nil {
		return errors.Join(err, fsat.ChmodAt(root, name, st.Mode), os.Remove(note))
	}
	return os.Remove(note)
}

// setAside renames a folder in the trash to a name that marks it as no longer needed.
func (t *openTrash) setAside(name string, step stepper) error {
	if err := step.at("set aside"); err != nil {
		return err
	}
	to := name + goneExt
	for i := 2; ; i++ {
		err := fsat.RenameNew(t.fd, name, t.fd, to)
		if !fsat.IsExist(err) {
			return err
		}
		to = fmt.Sprintf("%s%s%d", name, goneExt, i) // a snapshot of that name was removed before
	}
}

// takeRecords moves a snapshot's catalog and report from their places into the trash, unless a snapshot of that name
// exists again.
func (t *openTrash) takeRecords(name string, step stepper) error {
	if _, err := os.Lstat(filepath.Join(filepath.Dir(t.meta.path), name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range []struct{ what, from, to string }{
		{"catalog", t.meta.catalog(name), name + CatalogExt},
		{"report", Reports{t.meta}.path(name), name + reportExt},
	} {
		if err := step.at("take away the " + file.what); err != nil {
			return err
		}
		err := os.Rename(file.from, t.path(file.to))
		if fsat.IsNoSpace(err) { // the content-hash index is then made anew from the other catalogs
			err = os.Remove(file.from)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// takeLost moves the records of a snapshot whose folder is lost into the trash, the catalog last: after an
// interruption, the snapshot still counts as one without a folder.
func (t *openTrash) takeLost(name string, step stepper) error {
	for _, file := range [][2]string{{Reports{t.meta}.path(name), name + reportExt}, {t.meta.catalog(name), name + CatalogExt}} {
		if err := step.at("take away what is left"); err != nil {
			return err
		}
		if err := os.Rename(file[0], t.path(file[1])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncRecords makes the move of records into the trash durable.
func (t *openTrash) syncRecords() error {
	err := errors.Join(atomicfile.SyncDir(t.meta.Path(CatalogsDir)), atomicfile.SyncDir(t.meta.Path(RunsDir)),
		t.sync())
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// removingAttr is an attribute of the trash folder: name and inode number of the folder of a snapshot that is being
// removed in its place. Attributes take so little space that btrfs still accepts one when it refuses a rename.
const removingAttr = "user.snapcopy.removing"

func removingNote(name string, st *fsat.Stat) string { return fmt.Sprintf("%s %d", name, st.Ino) }

// noteRemoving notes durably which snapshot is being removed in its place. A file system without space may refuse the
// note.
func (t *openTrash) noteRemoving(name string, st *fsat.Stat) error {
	err := fsat.SetXattr(t.fd, fsat.Xattr{Name: removingAttr, Value: []byte(removingNote(name, st))})
	if err == nil {
		err = t.sync()
	}
	if err != nil && !fsat.IsNoSpace(err) && !fsat.IsRefused(err) {
		return callFailed("note the removal in", t.meta.Path(trashDir), err)
	}
	return nil
}

// endRemoving removes the note. A note that cannot be removed for lack of space refers to a folder that is gone; the
// next process with the lock removes it.
func (t *openTrash) endRemoving() error {
	if err := fsat.RemoveXattr(t.fd, removingAttr); err != nil && !fsat.IsNoSpace(err) && !fsat.IsRefused(err) {
		return fmt.Errorf("end of the removal: %w", err)
	}
	return t.sync()
}

// removing returns the note of a snapshot that is being removed in its place, or "".
func (t Trash) removing() (note string, err error) {
	var st fsat.Stat
	err = fsat.StatAt(t.meta.fd, trashDir, &st)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Type != fsat.Directory { // whoever has the lock makes it anew
		return "", nil
	}
	trash, err := t.open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
	attrs, err := fsat.Xattrs(trash.fd)
	if err != nil && !fsat.IsRefused(err) {
		return "", &fs.PathError{Op: "read attributes", Path: t.meta.Path(trashDir), Err: err}
	}
	for _, x := range attrs {
		if x.Name == removingAttr {
			return string(x.Value), nil
		}
	}
	return "", nil
}
