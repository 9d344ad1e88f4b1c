package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/leftover"
	"snapcopy/internal/testtree"
)

// The user and the groups of the helper process.
const (
	helperUser  = 1000
	helperGroup = 1001
	helperOther = 1002 // a further group
	helperEnv   = "SNAPCOPY_RESTORE_HELPER"
	asUserEnv   = "SNAPCOPY_RESTORE_AS_USER"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if done, err := instantJob(); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(victimEnv) != "" {
		victim()
	}
	if os.Getenv(asUserEnv) != "" {
		if err := dropPrivileges(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	status := m.Run()
	if err := removeTortured(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func dropPrivileges() error {
	return errors.Join(syscall.Setgroups([]int{helperOther}), syscall.Setgid(helperGroup), syscall.Setuid(helperUser))
}

// asUser runs the test once more, in a process of its own that has no privileges.
func asUser(t *testing.T) {
	t.Helper()
	testtree.NeedRoot(t)
	dir := tempDir(t)
	// The folder above is made for the one user who runs the tests.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, helperUser, helperGroup)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), asUserEnv+"=1", "TMPDIR="+dir)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as a user: %v\n%s", err, out)
	}
}

// helper is a restore without privileges, in a process of its own.
func helper(catalog, dir, to string) (err error) {
	if err := dropPrivileges(); err != nil {
		return err
	}
	c, err := index.Open(catalog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	rep, err := Run(context.Background(), Source{c, dir}, nil, to, Options{Threads: 1}) // the order of names matters
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(rep)
}

func TestWithoutPrivileges(t *testing.T) {
	testtree.NeedRoot(t)
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("closed/group", "first name is in a folder that nobody can enter in the end")
	b.link("closed/group", "open/group")
	b.file("closed/inner/file", "x")
	b.file("mine", "x")
	b.owner("mine", helperUser, helperGroup)
	b.mode("mine", 0o6755)
	b.file("root's", "x")
	b.mode("root's", 0o4755)
	b.xattr("root's", "security.capability", netBind)
	b.file("my group's", "x")
	b.owner("my group's", 0, helperOther)
	b.mode("my group's", 0o2755)
	b.file("trusted", "x")
	b.owner("trusted", helperUser, helperGroup)
	b.xattr("trusted", "trusted.note", "x")
	b.file("secret", "x")
	b.mode("secret", 0o600)
	b.check(syscall.Mknod(b.path("device"), syscall.S_IFCHR|0o666, 0x103))
	for _, name := range []string{"closed/inner", "closed"} {
		b.owner(name, 0, helperOther)
		b.mode(name, 0o070)
	}
	a := archive(t, b.root)
	catalog := a.open(b)
	target := builder{t, tempDir(t)}
	target.owner("", helperUser, helperGroup)

	var rep struct {
		Report
		Failed []struct{ Path, Error string } `json:"failed"`
	}
	runHelper(t, &rep, catalog, a.Dir, target.root)
	if len(rep.Failed) != 2 || rep.Failed[0].Path != "device" || rep.Failed[1].Path != "secret" || rep.Damaged != 0 {
		t.Errorf("failed: %+v", rep.Failed)
	}
	// Not ours: all but "mine" and "trusted", and the target, which stays as it is.
	if rep.NotHeld != (NotHeld{Owners: 7, Modes: 2, Xattrs: 2}) {
		t.Errorf("not held: %+v", rep.NotHeld)
	}
	got := strings.Join(describe(t, target.root), "\n")
	for _, want := range []string{
		`"/mine" type=8000 mode=6755 owner=1000:1001`,
		`"/root's" type=8000 mode=0755 owner=1000:1001`,
		`"/my group's" type=8000 mode=0755 owner=1000:1002`,
		`"/trusted" type=8000 mode=0644 owner=1000:1001`,
		`"/closed" type=4000 mode=0070 owner=1000:1002`,
		`"/closed/inner" type=4000 mode=0070 owner=1000:1002`,
		`link="/closed/group"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, `link="/closed/group"`); n != 2 {
		t.Errorf("the link group has %d names", n)
	}
}

// open lets other users read the archive. It gives the catalog.
func (a archived) open(b builder) (catalog string) {
	archiveDir := filepath.Dir(a.Dir)
	catalog = a.catalogPath()
	for _, path := range []string{filepath.Dir(filepath.Dir(archiveDir)), archiveDir,
		filepath.Join(archiveDir, ".snapcopy"), filepath.Dir(catalog), catalog} {
		b.check(os.Chmod(path, 0o755))
	}
	return catalog
}

// Guards: a user goes on with a restore although it has made files that he may not read.
func TestGoingOnWithoutPrivileges(t *testing.T) {
	needRoot(t)
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("f", "for others")
	b.mode("f", 0o044)
	b.file("g", "x")
	a := archive(t, b.root)
	catalog := a.open(b)
	target := builder{t, tempDir(t)}
	target.owner("", helperUser, helperGroup)
	var rep struct {
		Report
		Failed []struct{ Path, Error string } `json:"failed"`
	}
	runHelper(t, &rep, catalog, a.Dir, target.root)
	root := a.Catalog.Root()
	target.file(unfinishedName, leftover.Note(fmt.Sprintf("%s\n%x\n", filepath.Base(a.Dir), root.Hash)))
	target.owner(unfinishedName, helperUser, helperGroup)
	target.mode("", 0o755)
	rep.Failed = nil
	runHelper(t, &rep, catalog, a.Dir, target.root)
	if !rep.Resumed || len(rep.Failed) > 0 {
		t.Errorf("resumed %v, failed %+v", rep.Resumed, rep.Failed)
	}
}

func runHelper(t *testing.T, result any, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, result); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// Guards: an ordinary user's folder keeps its attributes when its ACL takes away the right to set them.
func TestAttributesOfAFolderWithoutWritePermission(t *testing.T) {
	if os.Geteuid() == 0 { // who may set them anyway
		asUser(t)
		return
	}
	source := builtTree(t, "dir d 0555 acl=u:1:r default=g:2:rx xattr.user.n=1\nfile d/f 0444 x acl=u:1:r xattr.user.n=2")
	a := archive(t, source)
	to := filepath.Join(tempDir(t), "to")
	rep := a.restore(nil, to, Options{Threads: 1})
	wantFailed(t, rep)
	if rep.NotHeld != (NotHeld{}) {
		t.Errorf("not held: %+v", rep.NotHeld)
	}
	want := testtree.Take(t, source)
	testtree.Equal(t, "snapshot", want, testtree.Take(t, a.Dir), 0)
	testtree.Equal(t, "restored", want, testtree.Take(t, to), 0)
}
