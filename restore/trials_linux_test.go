package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

const unheldScript = "dir d 2775 owner=0:34 default=u:77:rwx\nfile d/f 4755 x owner=12:34 mtime=1500000000.123456789 xattr.user.a=1\n" +
	"file g 0644 y mtime=1500000000.5\nlink h g\ndir ro 0555\ndir ro/sub 0755 owner=12:34\nfile ro/z 0444 z xattr.user.b=2 mtime=1400000000.1\n" +
	"set ro/sub mtime=1500000000.1\nset ro mtime=1500000000.2\nset d mtime=1500000000.3\nset . mtime=1500000000.4"

// again restores once more, in every way: nothing is written, and nothing is told to differ.
func (a archived) again(to string, options ...Options) {
	t := a.t
	t.Helper()
	before := states(t, to)
	for _, opt := range append(options, Options{}, Options{Overwrite: OverwriteChanged}) {
		rep := a.restore(nil, to, opt)
		wantFailed(t, rep)
		if rep.Files+rep.Dirs+rep.Replaced+rep.Metadata+rep.OtherTimesCount != 0 || rep.Unchanged != 4 || len(rep.TargetDiffers) > 0 {
			t.Errorf("%+v: %+v", opt, rep)
		}
		if rep.CatalogOnly == (outcome.CatalogOnlyCounts{}) {
			t.Error("nothing says what is lacking")
		}
	}
	if diff := cmp.Diff(before, states(t, to)); diff != "" {
		t.Errorf("something was changed:\n%s", diff)
	}
	noTemporaryNames(t, to)
}

// Guards: what a user without privileges cannot set is no difference when he restores again.
func TestAgainWithoutPrivileges(t *testing.T) {
	const sourceEnv = "SNAPCOPY_RESTORE_SOURCE" // of root, for the test as a user
	if os.Geteuid() == 0 {
		a := take(t, testarchive.BuiltTree(t, unheldScript))
		catalog := a.open(testarchive.Builder{T: t, Root: a.Dir})
		if err := os.Chmod(a.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv(sourceEnv, catalog+"\n"+a.Dir)
		testarchive.AsUser(t)
		return
	}
	catalog, dir, ok := strings.Cut(os.Getenv(sourceEnv), "\n")
	if !ok {
		t.Skip("needs root, to make files of several users")
	}
	c, err := index.Open(catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer testarchive.CloseAll(t, c)
	a := archived{archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: dir}}, t}
	to := filepath.Join(testarchive.TempDir(t), "to")
	t.Cleanup(func() {
		if err := os.Chmod(filepath.Join(to, "ro"), 0o755); err != nil {
			t.Error(err)
		}
	})
	if rep := a.restore(nil, to, Options{}); rep.FailedCount != 0 || rep.CatalogOnly.Owners == 0 {
		t.Fatalf("%+v", rep)
	}
	a.again(to, Options{DryRun: true})
	// What can be set differs all the same.
	testtree.Build(t, to, "set d/f mtime=1600000000\nset g mode=0600")
	wantFailed(t, a.restore(nil, to, Options{}), "d/f", "g", "h")
}

// Guards: nor is what the target's file system cannot hold: times finer than seconds, owners, modes, ACLs, links.
func TestAgainOnPoorFileSystems(t *testing.T) {
	needRoot(t)
	a := take(t, testarchive.BuiltTree(t, unheldScript))
	for name, disk := range map[string][]string{"ext4": {"-I", "128"}, "vfat": nil, "exfat": nil} {
		t.Run(name, func(t *testing.T) {
			a := archived{a.OpenSnapshot, t}
			to := filepath.Join(testtree.NewDisk(t, name, 48<<20, disk...).Path, "to")
			if rep := a.restore(nil, to, Options{}); rep.FailedCount != 0 || rep.CatalogOnly.Times == 0 {
				t.Fatalf("%+v", rep)
			}
			a.again(to)
			testtree.Build(t, to, "write d/f other")
			wantFailed(t, a.restore(nil, to, Options{}), "d/f")
		})
	}
}
