package fsat

import "strings"

// Privileges is a set of Linux capabilities (capabilities(7)). Root has all, unless a container takes some away.
type Privileges uint64

// The bits are the numbers of linux/capability.h. The last bit means "not in a user namespace": root in one has every
// capability over objects of the namespace, and none over others.
const (
	CapChown    Privileges = 1 << 0
	CapOverride Privileges = 1 << 1
	CapFowner   Privileges = 1 << 3
	CapSysAdmin Privileges = 1 << 21
	CapMknod    Privileges = 1 << 27
	CapSetfcap  Privileges = 1 << 31
	InitialUser Privileges = 1 << 63
)

// PrivilegeFor returns the privilege that root needs to set an extended attribute on a file of another user.
func PrivilegeFor(xattr string) Privileges {
	switch {
	case xattr == "security.capability":
		return CapSetfcap
	case strings.HasPrefix(xattr, "trusted."), strings.HasPrefix(xattr, "security."):
		return CapSysAdmin
	}
	return CapFowner
}

// Names returns the names of the capabilities as people write them.
func (p Privileges) Names() (names []string) {
	for _, c := range []struct {
		bit  Privileges
		name string
	}{
		{CapChown, "CAP_CHOWN"}, {CapOverride, "CAP_DAC_OVERRIDE"}, {CapFowner, "CAP_FOWNER"}, {CapSysAdmin, "CAP_SYS_ADMIN"}, {CapMknod, "CAP_MKNOD"},
		{CapSetfcap, "CAP_SETFCAP"},
	} {
		if p&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	return names
}
