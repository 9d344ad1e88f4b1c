package testtree

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"snapcopy/internal/testtools"
)

// Need skips the test where a program is not installed, and gives the path of the program otherwise. Call it before
// anything is made:
//
//	testtree.Need(t, "getfacl")
//
// The program has to be in the list of internal/testtools, with the Debian package that holds it, so that the check of
// the project can say beforehand what is missing. Scripts do the same by a line
//
//	[!exec:getfacl] skip 'needs getfacl (package acl)'
//
// before the first line that uses the program. Such a line may stand in the middle: what comes before it is tested. A
// condition before a single command, [exec:getfacl] exec getfacl, would hide from everybody that it was left out.
func Need(t testing.TB, program string) string {
	t.Helper()
	tool, ok := testtools.Find(program)
	if !ok {
		t.Fatalf("testtree: %s is not in the list of internal/testtools", program)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(tool.Needed())
	}
	return path
}

// NeedRoot skips the test unless it is run by a root that may do everything: with all capabilities, and in no user
// namespace. The root of a container is none. A test that only behaves in another way as root asks Root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if why := notRoot(); why != "" {
		t.Skip(why)
	}
}

// Root tells whether NeedRoot would go on.
func Root() bool { return notRoot() == "" }

// The capabilities that the tests for root make use of, by their numbers in capabilities(7).
var capabilities = []struct {
	name   string
	number int
}{
	{"CAP_CHOWN", 0}, {"CAP_DAC_OVERRIDE", 1}, {"CAP_DAC_READ_SEARCH", 2}, {"CAP_FOWNER", 3}, {"CAP_FSETID", 4},
	{"CAP_KILL", 5}, {"CAP_SETGID", 6}, {"CAP_SETUID", 7}, {"CAP_LINUX_IMMUTABLE", 9}, {"CAP_SYS_CHROOT", 18},
	{"CAP_SYS_ADMIN", 21}, {"CAP_MKNOD", 27}, {"CAP_LEASE", 28}, {"CAP_SETFCAP", 31},
}

const dacOverride = 1

var notRoot = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "needs root"
	}
	var lacks []string
	for _, c := range capabilities {
		if !capable(c.number) {
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

// capable tells whether the process has a capability. It is no error not to know: nothing else than Linux has any.
func capable(number int) bool {
	bits := effective()
	return bits>>number&1 != 0
}

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
