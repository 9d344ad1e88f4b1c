package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// openStoredFile opens the stored file of an entry in the stored directory dir, or says why there is none, and makes
// sure that it can be the one.
func openStoredFile(dir int, lost error, e *index.Entry) (fd int, st fsat.Stat, err error) {
	if dir < 0 {
		return fsat.NoDir, st, storedError(lost)
	}
	if fd, err = fsat.OpenFile(dir, e.Name); err != nil {
		return fsat.NoDir, st, storedError(fmt.Errorf("open stored file: %w", err))
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
