package fsat

import (
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Missing gives those of the needed privileges that root lacks here, which is why something was refused that root may do
// elsewhere. Of a user who is not root it says nothing.
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

// MissingFor is Missing for what has failed: err has to be a refusal that the lack of a privilege leads to. EINVAL is
// what a user namespace says of owners that it does not know.
func MissingFor(err error, needed Privileges) Privileges {
	lacks := Missing(needed)
	if is(err, unix.EPERM, unix.EACCES) || lacks == InitialUser && is(err, unix.EINVAL, unix.EOVERFLOW) {
		return lacks
	}
	return 0
}

// capabilities are the effective ones of this process; all, where they cannot be asked for.
var capabilities = sync.OnceValue(func() Privileges {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return ^Privileges(0)
	}
	return Privileges(data[0].Effective) | Privileges(data[1].Effective)<<32 | InitialUser
})

// inUserNamespace reports whether users are mapped; without /proc that is not known.
var inUserNamespace = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(text)), " ") != "0 0 4294967295"
})
