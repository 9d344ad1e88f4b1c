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
	"snapcopy/internal/archive"
	"snapcopy/internal/leftover"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

const helperEnv = "SNAPCOPY_RESTORE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(victimEnv) != "" {
		victim()
	}
	if err := testarchive.BecomeUser(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := testarchive.RemoveTortured(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// helper is a restore without privileges, in a process of its own.
func helper(catalog, dir, to string) (err error) {
	if err := testarchive.DropPrivileges(); err != nil {
		return err
	}
	c, err := index.Open(catalog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	rep, err := Run(context.Background(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: dir}}, nil, to, Options{Threads: 1}) // the order of names matters
	if err != nil {
		return err
	}
	told := helperReport{Report: *rep}
	for _, f := range rep.Failed {
		told.Failed = append(told.Failed, helperFailed{f.Path, f.Err.Error()})
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

// helperReport is what the helper process tells about a restore: a report whose failures are texts.
type helperReport struct {
	Report
	Failed []helperFailed
}

type helperFailed struct{ Path, Error string }

func TestWithoutPrivileges(t *testing.T) {
	testtree.NeedRoot(t)
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("closed/group", "first name is in a folder that nobody can enter in the end")
	b.Link("closed/group", "open/group")
	b.File("closed/inner/file", "x")
	b.File("mine", "x")
	b.Owner("mine", testarchive.HelperUser, testarchive.HelperGroup)
	b.Mode("mine", 0o6755)
	b.File("root's", "x")
	b.Mode("root's", 0o4755)
	b.Xattr("root's", "security.capability", testarchive.NetBind)
	b.File("my group's", "x")
	b.Owner("my group's", 0, testarchive.HelperOther)
	b.Mode("my group's", 0o2755)
	b.File("trusted", "x")
	b.Owner("trusted", testarchive.HelperUser, testarchive.HelperGroup)
	b.Xattr("trusted", "trusted.note", "x")
	b.File("secret", "x")
	b.Mode("secret", 0o600)
	b.Check(syscall.Mknod(b.Path("device"), syscall.S_IFCHR|0o666, 0x103))
	for _, name := range []string{"closed/inner", "closed"} {
		b.Owner(name, 0, testarchive.HelperOther)
		b.Mode(name, 0o070)
	}
	a := take(t, b.Root)
	catalog := a.open(b)
	target := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	target.Owner("", testarchive.HelperUser, testarchive.HelperGroup)

	var rep helperReport
	runHelper(t, &rep, catalog, a.Dir, target.Root)
	if len(rep.Failed) != 2 || rep.Failed[0].Path != "device" || rep.Failed[1].Path != "secret" || rep.Damaged != 0 {
		t.Errorf("failed: %+v", rep.Failed)
	}
	// Not ours: all but "mine" and "trusted", and the target, which stays as it is.
	if rep.CatalogOnly != (outcome.CatalogOnlyCounts{Owners: 7, Modes: 2, Xattrs: 2}) {
		t.Errorf("not held: %+v", rep.CatalogOnly)
	}
	got := strings.Join(testarchive.Describe(t, target.Root), "\n")
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
func (a archived) open(b testarchive.Builder) (catalog string) {
	archiveDir := filepath.Dir(a.Dir)
	catalog = a.catalogPath()
	for _, path := range []string{filepath.Dir(filepath.Dir(archiveDir)), archiveDir,
		filepath.Join(archiveDir, ".snapcopy"), filepath.Dir(catalog), catalog} {
		b.Check(os.Chmod(path, 0o755))
	}
	return catalog
}

// Guards: a user goes on with a restore although it has made files that he may not read.
func TestGoingOnWithoutPrivileges(t *testing.T) {
	needRoot(t)
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("f", "for others")
	b.Mode("f", 0o044)
	b.File("g", "x")
	a := take(t, b.Root)
	catalog := a.open(b)
	target := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	target.Owner("", testarchive.HelperUser, testarchive.HelperGroup)
	var rep helperReport
	runHelper(t, &rep, catalog, a.Dir, target.Root)
	root := a.Catalog.Root()
	target.File(unfinishedName, leftover.Note(fmt.Sprintf("%s\n%x\n", filepath.Base(a.Dir), root.Hash)))
	target.Owner(unfinishedName, testarchive.HelperUser, testarchive.HelperGroup)
	target.Mode("", 0o755)
	rep.Failed = nil
	runHelper(t, &rep, catalog, a.Dir, target.Root)
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
		testarchive.AsUser(t)
		return
	}
	source := testarchive.BuiltTree(t, "dir d 0555 acl=u:1:r default=g:2:rx xattr.user.n=1\nfile d/f 0444 x acl=u:1:r xattr.user.n=2")
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	rep := a.restore(nil, to, Options{Threads: 1})
	wantFailed(t, rep)
	if rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
		t.Errorf("not held: %+v", rep.CatalogOnly)
	}
	want := testtree.Take(t, source)
	testtree.Equal(t, "snapshot", want, testtree.Take(t, a.Dir), 0)
	testtree.Equal(t, "restored", want, testtree.Take(t, to), 0)
}
