package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/windows"
)

// MayPass reports an error of reading that may be gone a little later: another program has the file open or locked, or a disk
// or server is away for a moment.
func MayPass(err error) bool {
	var e windows.Errno
	return errors.As(err, &e) && slices.Contains([]windows.Errno{windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION,
		windows.ERROR_NOT_READY, windows.ERROR_BUSY, windows.ERROR_SEM_TIMEOUT, windows.ERROR_NETWORK_BUSY,
		windows.ERROR_NETNAME_DELETED, windows.ERROR_BAD_NETPATH, windows.ERROR_UNEXP_NET_ERR, windows.ERROR_CRC,
		windows.ERROR_IO_DEVICE, windows.ERROR_NOT_ENOUGH_MEMORY}, e)
}
