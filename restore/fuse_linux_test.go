package restore

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: to and from file systems in user space and over a network, which number each name, show changes late, or cannot
// set the time of a symbolic link, no name is lost, nothing reaches what a link leads to, and what cannot be is counted.
func TestFuse(t *testing.T) {
	for _, kind := range testtree.FuseKinds {
		t.Run(kind, func(t *testing.T) {
			at := testtree.Fuse(t, kind)
			source := testarchive.BuiltTree(t, `file victim 0644 "x" mtime=1000000000
				file a 0640 "a" mtime=1000000001
				link b a
				dir d 0750
				link d/c a
				symlink l a mtime=1000000002 owner=7:7
				symlink d/nowhere nowhere mtime=1000000002
				link d/nowhere2 d/nowhere
				dir d/empty 0700 mtime=1000000003
				set d mtime=1000000003
				set . mtime=1000000004`)
			victim := filepath.Join(testarchive.TempDir(t), "victim")
			testtree.Build(t, filepath.Dir(victim), "file victim 0600 \"x\" mtime=1000000005")
			if err := os.Symlink(victim, filepath.Join(source, "absolute")); err != nil {
				t.Fatal(err)
			}
			testtree.Build(t, source, "set absolute mtime=1000000006 owner=8:8\nset . mtime=1000000004")
			before := testtree.Take(t, filepath.Dir(victim))
			want := testtree.Take(t, source)
			a := take(t, source)

			to := filepath.Join(at, "to")
			for _, what := range []string{"restored", "again", "gone on with"} {
				if rep := a.restore(nil, to, Options{Overwrite: OverwriteChanged}); rep.FailedCount > 0 {
					t.Errorf("%s: failed: %v", what, rep.Failed)
				}
				testtree.Equal(t, what, want, testtree.Take(t, to), lacks(kind))
				if what == "again" {
					check(t, os.Remove(filepath.Join(to, "a")))
				}
			}

			arch := filepath.Join(at, "archive")
			opt := snapshot.Options{AllowCopies: true}
			rep, err := snapshot.Run(context.Background(), source, arch, opt)
			check(t, err)
			testtree.Equal(t, "snapshot", want, testtree.Take(t, filepath.Join(arch, rep.Snapshot)), lacks(kind))
			rep, err = snapshot.Run(context.Background(), source, arch, opt)
			check(t, err)
			if rep.Incomplete || rep.Counts.Changed+rep.Counts.New > 0 {
				t.Errorf("%+v", rep)
			}
			c, err := index.Open(filepath.Join(arch, ".snapcopy", "catalogs", rep.Snapshot+".cat"))
			check(t, err)
			back := filepath.Join(testarchive.TempDir(t), "back")
			archived{archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(arch, rep.Snapshot)}}, t}.restore(nil, back, Options{})
			testarchive.CloseAll(t, c)
			testtree.Equal(t, "restored from it", want, testtree.Take(t, back), 0)
			testtree.Equal(t, "what a link leads to", before, testtree.Take(t, filepath.Dir(victim)), 0)
		})
	}
}

// lacks is what a file system cannot hold.
func lacks(kind string) testtree.Field {
	switch kind {
	case "unionfs-fuse":
		return testtree.Group
	case "sshfs":
		return testtree.Group | testtree.Mtime | testtree.Owner
	}
	return 0
}
