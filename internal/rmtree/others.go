package rmtree

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"snapcopy/internal/fsat"
)

// ErrOthers reports a folder of another user that this process may not empty. The error around it names the user.
var ErrOthers = errors.New("the folder belongs to")

// whose adds to a refusal in a folder, described by st, whose folder it is, if that is another user.
func whose(st *fsat.Stat, err error) error {
	if !fsat.IsRefused(err) || int(st.UID) == os.Geteuid() || st.Type != fsat.Directory {
		return err
	}
	name := strconv.FormatUint(uint64(st.UID), 10)
	if u, lookupErr := user.LookupId(name); lookupErr == nil {
		name = u.Username
	}
	return fmt.Errorf("%w: %w user %s", err, ErrOthers, name)
}

// whoseOpen is whose for an open folder.
func whoseOpen(dir int, err error) error {
	var st fsat.Stat
	if err == nil || fsat.StatHandle(dir, &st) != nil {
		return err
	}
	return whose(&st, err)
}
