package testtools

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// The capabilities that the tests for root use, by their numbers in capabilities(7).
var capabilities = []struct {
	name   string
	number int
}{
	{"CAP_CHOWN", 0}, {"CAP_DAC_OVERRIDE", 1}, {"CAP_DAC_READ_SEARCH", 2}, {"CAP_FOWNER", 3}, {"CAP_FSETID", 4},
	{"CAP_KILL", 5}, {"CAP_SETGID", 6}, {"CAP_SETUID", 7}, {"CAP_LINUX_IMMUTABLE", 9}, {"CAP_SYS_CHROOT", 18},
	{"CAP_SYS_ADMIN", 21}, {"CAP_MKNOD", 27}, {"CAP_LEASE", 28}, {"CAP_SETFCAP", 31},
}

// NotRoot returns the difference between this process and a root with all capabilities, outside of any user namespace.
// It is empty for such a root.
var NotRoot = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "needs root"
	}
	var lacks []string
	for _, c := range capabilities {
		if effective()>>c.number&1 == 0 {
			lacks = append(lacks, c.name)
		}
	}
	if lacks != nil {
		return "needs root with all capabilities: this one lacks " + strings.Join(lacks, ", ")
	}
	if text, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		if f := strings.Fields(string(text)); len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295" {
			return "needs root outside of a user namespace"
		}
	}
	return ""
})

// MayDoAll reports whether the process may ignore the permissions of files.
func MayDoAll() bool { return effective()>>dacOverride&1 != 0 }

const dacOverride = 1

// effective returns the effective capabilities of the process; none on a system without capabilities.
var effective = sync.OnceValue(func() (bits uint64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, _ = strconv.ParseUint(strings.TrimSpace(hex), 16, 64) // the kernel writes nothing else
		}
	}
	return bits
})
