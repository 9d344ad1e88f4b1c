package testarchive

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"snapcopy/internal/testtree"
)

// The user and the groups of the helper process.
const (
	HelperUser  = 1000
	HelperGroup = 1001
	HelperOther = 1002 // a further group
	asUserEnv   = "SNAPCOPY_TEST_AS_USER"
)

// DropPrivileges makes the process one of the user of the tests.
func DropPrivileges() error {
	return errors.Join(syscall.Setgroups([]int{HelperOther}), syscall.Setgid(HelperGroup), syscall.Setuid(HelperUser))
}

// BecomeUser does that in a process that asUser has started, and nothing in others. TestMain calls it.
func BecomeUser() error {
	if os.Getenv(asUserEnv) == "" {
		return nil
	}
	return DropPrivileges()
}

// AsUser runs the test once more, in a process of its own that has no privileges.
func AsUser(t *testing.T) {
	t.Helper()
	testtree.NeedRoot(t)
	dir := TempDir(t)
	// The folder above is made for the one user who runs the tests.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, HelperUser, HelperGroup)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), asUserEnv+"=1", "TMPDIR="+dir)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as a user: %v\n%s", err, out)
	}
}
