//go:build unix

package plainfile

import "syscall"

// quietly keeps an open from following a link and from waiting, in case the name was exchanged just before.
const quietly = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
