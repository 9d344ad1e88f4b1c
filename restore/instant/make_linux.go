package instant

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/overlay"
	"snapcopy/internal/rmtree"
)

func makeInstant(ctx context.Context, from archive.OpenSnapshot, at string, opt Options) (r *Report, err error) {
	in, err := locate(at)
	if err != nil {
		return nil, err
	}
	in.fault = opt.Fault
	defer func() {
		if err = in.named(errors.Join(err, in.close())); in.attached { // there is no way back, and no need of one
			r.After, err = err, nil
		}
	}()
	if err := inside.CheckTarget(in.path, filepath.Dir(from.Dir)); err != nil {
		return nil, err
	}
	if err := in.makeMountpoint(); err != nil {
		return nil, err
	}
	if err := in.open(true); err != nil {
		if in.made {
			err = errors.Join(err, fsat.Rmdir(in.parent, in.leaf))
		}
		return nil, err
	}
	if found, err := in.load(); err != nil {
		return nil, err
	} else if !found {
		in.Phase = making
	}
	defer func() {
		if err != nil && in.Phase == making {
			err = errors.Join(err, in.forget())
		}
	}()
	r = &Report{Snapshot: from.Catalog.Summary().Snapshot, Mountpoint: in.path, Folder: in.folder}
	place, err := in.look()
	switch {
	case err != nil:
		return nil, err
	case place.Mounted:
		return nil, &fs.PathError{Op: "mount at", Path: in.path, Err: ErrMounted}
	}
	switch in.Phase {
	case mounted:
		r.Resumed = true
		err = in.again(from, opt.ArchiveID)
	case cleaning, clean:
		err = &fs.PathError{Op: "mount at", Path: in.path, Err: ErrSettling}
	default:
		err = in.anew(ctx, from, opt, r)
	}
	r.NoRename = in.UserXattr
	return r, err
}

// makeMountpoint makes the folder to mount at, if it is missing: with access for us alone, as nobody is to use it
// without the mount.
func (in *instant) makeMountpoint() error {
	err := os.Mkdir(in.path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	in.made = err == nil
	return err
}

// again mounts an existing tree again.
func (in *instant) again(from archive.OpenSnapshot, archiveID string) (err error) {
	if s := from.Catalog.Summary().Snapshot; s != in.Snapshot || archiveID != in.ArchiveID {
		return &fs.PathError{Op: "mount at", Path: in.path, Err: fmt.Errorf("%w: %s of %s, since %s", ErrOtherSnapshot,
			in.Snapshot, in.Archive, in.Since.Format(time.RFC3339))}
	}
	fd, err := in.mount(from.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if archive := filepath.Dir(from.Dir); archive != string(in.Archive) { // the archive was moved, or its disk is mounted elsewhere now
		in.Archive = []byte(archive)
		if err := in.save(mounted); err != nil {
			return err
		}
	}
	return in.attach(fd)
}

// anew mounts for the first time. Until the tree is attached nobody sees it, and everything can be thrown away.
func (in *instant) anew(ctx context.Context, from archive.OpenSnapshot, opt Options, r *Report) (err error) {
	dir, err := in.openMountpoint() // fails early if the mountpoint is unsuitable
	if err = errors.Join(err, fsat.Close(dir)); err != nil {
		return err
	}
	if err := in.begin(from, opt); err != nil {
		return err
	}
	if err := in.tryIndex(from); err != nil {
		return err
	}
	m := newMender(in, from, opt)
	if err := m.find(ctx); err != nil {
		return err
	}
	in.Indexed = m.tooManyLinks
	if err := m.root(); err != nil {
		return err
	}
	fd, err := in.mount(from.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := m.mend(fd); err != nil {
		return err
	}
	r.Mended, r.CatalogOnly = m.mended, m.catalogOnly
	lacking := m.lacks
	r.Lacking, r.UserNamespace = lacking.Names(), lacking&fsat.InitialUser != 0
	if m.mended > 0 {
		err = in.syncAll()
	} else {
		err = errors.Join(fsat.Sync(in.upper), fsat.Sync(in.work), fsat.Sync(in.state))
	}
	if err != nil {
		return err
	}
	if err := in.save(mounted); err != nil {
		return err
	}
	return in.attach(fd)
}

// begin makes the folders for the changes, and records in the state that they are worthless yet.
func (in *instant) begin(from archive.OpenSnapshot, opt Options) error {
	now := time.Now
	if opt.Now != nil {
		now = opt.Now
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	if err := in.clear(); err != nil {
		return err
	}
	in.stateFile = stateFile{
		Format: stateFormat, ID: "snapcopy-" + hex.EncodeToString(id), Archive: []byte(filepath.Dir(from.Dir)),
		ArchiveID: opt.ArchiveID, Snapshot: from.Catalog.Summary().Snapshot, Mountpoint: in.path,
		Since: now().UTC().Truncate(time.Second), Phase: making,
	}
	var err error
	if in.UserXattr, err = overlay.NeedsUserXattr(in.state); err != nil {
		return &fs.PathError{Op: "mount at", Path: in.path, Err: err}
	}
	if err := in.save(making); err != nil {
		return err
	}
	for _, name := range []string{upperName, workName} {
		if err := fsat.Mkdir(in.state, name, 0o700); err != nil {
			return &fs.PathError{Op: "make", Path: filepath.Join(in.folder, name), Err: err}
		}
	}
	return in.openLayers()
}

// tryIndex checks that the kernel can keep link groups together.
func (in *instant) tryIndex(from archive.OpenSnapshot) error {
	in.Indexed = true
	fd, err := in.mount(from.Dir)
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return err
	}
	in.Indexed, err = overlay.Indexed(in.work)
	return err
}

// clear removes the leftovers of an attempt that nobody saw.
func (in *instant) clear() error {
	for _, name := range []string{upperName, workName, damagedName, sparseName} {
		if err := rmtree.Remove(in.state, name); err != nil {
			return &fs.PathError{Op: "remove", Path: filepath.Join(in.folder, name), Err: err}
		}
	}
	return nil
}

// forget removes the state folder of a tree that nobody has seen, and the mountpoint if it was made for it. If the layers
// cannot be removed, the state stays with them: by it a later call recognises the folder, and removes them.
func (in *instant) forget() error {
	err := errors.Join(in.closeLayers(), in.clear())
	if err == nil {
		err = in.removeFolder()
	}
	if in.made {
		err = errors.Join(err, fsat.Rmdir(in.parent, in.leaf))
	}
	return err
}

// removeFolder removes the state folder, which has nothing of value any more. The state itself goes last, so that a
// later call that finds a part of the folder recognises it.
func (in *instant) removeFolder() error {
	var remove []string
	list, err := fsat.ReadDir(in.state, make([]byte, 4096))
	if err != nil {
		return &fs.PathError{Op: "list", Path: in.folder, Err: err}
	}
	for _, e := range list {
		if atomicfile.IsPending(e.Name) { // a process was killed while it replaced the state
			remove = append(remove, e.Name)
		}
	}
	for _, name := range append(remove, stateName, "lock") {
		if err := fsat.Unlink(in.state, name); err != nil && !fsat.IsGone(err) {
			return &fs.PathError{Op: "remove", Path: filepath.Join(in.folder, name), Err: err}
		}
	}
	if err := fsat.Rmdir(in.parent, filepath.Base(in.folder)); err != nil {
		return &fs.PathError{Op: "remove", Path: in.folder, Err: err}
	}
	return fsat.Sync(in.parent)
}
