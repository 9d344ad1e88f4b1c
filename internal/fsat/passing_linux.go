package fsat

import "golang.org/x/sys/unix"

// MayPass reports an error of reading that may be gone a little later: a server, a bus or a disk that is away for a moment, a
// file in use, no memory. EIO is among them, though ClassOf counts it as that of a bad disk: of a network or USB disk it
// often passes.
func MayPass(err error) bool {
	return is(err, unix.EIO, unix.ESTALE, unix.ETXTBSY, unix.EBUSY, unix.EAGAIN, unix.ETIMEDOUT, unix.ENOMEM, unix.EINTR,
		unix.ENFILE, unix.ENOBUFS, unix.EREMOTEIO, unix.ENOTCONN, unix.ECONNRESET, unix.ECONNABORTED,
		unix.ECONNREFUSED, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENETUNREACH, unix.ETIME)
}
