//go:build unix

package plainfile

import "syscall"

// quietly keeps opening from following a link and from waiting, if the name was exchanged just before.
const quietly = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
