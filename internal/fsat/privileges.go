package fsat

import "strings"

// Privileges are capabilities of Linux (capabilities(7)), which root has unless a container takes them away.
type Privileges uint64

// The bits are the numbers of linux/capability.h; the last one stands for not being in a user namespace, in which root has
// every capability over what belongs to the namespace, and none over anything else.
const (
	CapChown    Privileges = 1 << 0
	CapFowner   Privileges = 1 << 3
	CapSysAdmin Privileges = 1 << 21
	CapMknod    Privileges = 1 << 27
	CapSetfcap  Privileges = 1 << 31
	InitialUser Privileges = 1 << 63
)

// PrivilegeFor gives what root needs to set an extended attribute of a file of somebody else.
func PrivilegeFor(xattr string) Privileges {
	switch {
	case xattr == "security.capability":
		return CapSetfcap
	case strings.HasPrefix(xattr, "trusted."), strings.HasPrefix(xattr, "security."):
		return CapSysAdmin
	}
	return CapFowner
}

// Names gives the names of capabilities as people write them.
func (p Privileges) Names() (names []string) {
	for _, c := range []struct {
		bit  Privileges
		name string
	}{
		{CapChown, "CAP_CHOWN"}, {CapFowner, "CAP_FOWNER"}, {CapSysAdmin, "CAP_SYS_ADMIN"}, {CapMknod, "CAP_MKNOD"},
		{CapSetfcap, "CAP_SETFCAP"},
	} {
		if p&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	return names
}
