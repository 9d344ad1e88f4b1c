package fsat

import (
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Missing returns those of the needed privileges that root lacks here: the reason for a refusal of a call that root
// may make elsewhere. For users other than root it returns none.
func Missing(needed Privileges) Privileges {
	if os.Geteuid() != 0 {
		return 0
	}
	if lacks := needed &^ capabilities(); lacks != 0 {
		return lacks
	}
	if inUserNamespace() {
		return InitialUser
	}
	return 0
}

// MissingFor is Missing for a failed call. It returns none unless err is a refusal that a missing privilege can cause.
// A user namespace returns EINVAL for owners it does not know.
func MissingFor(err error, needed Privileges) Privileges {
	lacks := Missing(needed)
	if is(err, unix.EPERM, unix.EACCES) || lacks == InitialUser && is(err, unix.EINVAL, unix.EOVERFLOW) {
		return lacks
	}
	return 0
}

// capabilities are the effective capabilities of this process; all, if the system does not tell.
var capabilities = sync.OnceValue(func() Privileges {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return ^Privileges(0)
	}
	return Privileges(data[0].Effective) | Privileges(data[1].Effective)<<32 | InitialUser
})

// inUserNamespace reports whether users are mapped; without /proc it reports false.
var inUserNamespace = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(text)), " ") != "0 0 4294967295"
})
