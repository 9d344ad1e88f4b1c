package tree

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// ErrDamaged is the [index.ErrDamagedData] of a stored file that is gone, cannot be read, or differs from its record.
// Such a file is not restored.
var ErrDamaged = fmt.Errorf("stored file is %w", index.ErrDamagedData)

// ErrContent is the ErrDamaged of a stored file whose content does not have the catalog's hash.
var ErrContent = fmt.Errorf("%w: its content differs from the recorded hash", ErrDamaged)

// Errors of the names of a stored file in one snapshot, which are damage of it.
var (
	// ErrShared reports a name whose stored file is that of another name, too, although they were separate files.
	ErrShared = errors.New("shares its stored file with another name of this snapshot; in the source they were separate files")
	// ErrParted reports a name of a link group that has another stored file than the others.
	ErrParted = errors.New("no longer shares its stored file with the other names it was a hard link of")
)

// OpenStored opens the stored file of an entry in the stored folder dir, and checks its type and size. lost is the
// error if that folder has no handle.
func OpenStored(dir int, lost error, e *index.Entry) (fd int, st fsat.Stat, err error) {
	if dir < 0 {
		return fsat.NoDir, st, StoredError(lost)
	}
	if fd, err = fsat.OpenFile(dir, e.Name); err != nil {
		return fsat.NoDir, st, StoredError(fmt.Errorf("open stored file: %w", err))
	}
	if err = fsat.StatHandle(fd, &st); err != nil {
		err = fmt.Errorf("stat stored file: %w", err)
	} else if st.Type != fsat.Regular {
		err = fmt.Errorf("%w: it is not a regular file", ErrDamaged)
	} else if uint64(st.Size) != e.Size {
		err = fmt.Errorf("%w: it has %d bytes instead of %d", ErrDamaged, st.Size, e.Size)
	}
	if err != nil {
		return fsat.NoDir, st, errors.Join(err, fsat.Close(fd))
	}
	return fd, st, nil
}

// StoredError distinguishes a stored file that is gone or damaged from one that cannot be reached now, for lack of
// privileges, memory or descriptors, or because a mount has gone.
func StoredError(err error) error {
	if fsat.IsNoDir(err) || fsat.IsBadDisk(err) { // it was there, and of its type
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// CatalogError distinguishes a damaged catalog from one that cannot be read now.
func CatalogError(err error) error {
	if errors.Is(err, index.ErrDamaged) || fsat.IsBadDisk(err) {
		return fmt.Errorf("%w: its catalog cannot be used: %w", ErrDamaged, err)
	}
	return fmt.Errorf("read its catalog: %w", err)
}

// StoredRoot is the snapshot with handle dir as a tree of a walk. A folder of it that cannot be opened affects only
// entries whose content lies in that folder.
func StoredRoot(dir int) Root { return Root{Dir: dir, Optional: true, Op: "open stored folder"} }
