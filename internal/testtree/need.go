package testtree

import (
	"os/exec"
	"testing"

	"snapcopy/internal/testtools"
)

// Need skips the test where a program is not installed, and gives the path of the program otherwise. Call it before
// anything is made:
//
//	testtree.Need(t, "getfacl")
//
// The program has to be in the list of internal/testtools, with the Debian package that contains it, so that the check of
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
	if why := testtools.NotRoot(); why != "" {
		t.Skip(why)
	}
}

// Root tells whether NeedRoot would go on.
func Root() bool { return testtools.NotRoot() == "" }
