package fidelity

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testtree"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

const attrTree = `
	dir d 0755
	file d/plain 0644 "plain"
	file immutable 0444 "immutable" mtime=5.5
	file append 0644 "append only"
	file nodump 0600 "not to be dumped"
	file noatime 0600 "no access time"
	file several 0600 random=1500000:1
	dir nodumpdir 0755
	file nodumpdir/f 0644 "in a folder not to be dumped"
	dir closed 0755
	file closed/f 0644 "in an immutable folder"
	dir log 0755
	file log/f 0644 "in a folder that only grows"
	file log/linked 0644 "immutable, with a name elsewhere"
	link closed/linked log/linked
	link linked log/linked
	chattr immutable +i
	chattr append +a
	chattr nodump +d
	chattr noatime +A
	chattr several +d +A +S
	chattr nodumpdir +d
	chattr linked +i
	chattr closed +i
	chattr log +a`

// unlock takes the locking attributes off a tree, so that it can be removed.
func unlock(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		if out, err := exec.Command("chattr", "-R", "-f", "-ia", dir).CombinedOutput(); err != nil && len(out) > 0 {
			t.Errorf("chattr: %v: %s", err, out)
		}
	})
}

// lsattr lists the attributes of a tree's files and folders, as another program sees them.
func lsattr(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := make(map[string]string)
	for path, item := range testtree.Take(t, dir) {
		if item.Type != "file" && item.Type != "dir" {
			continue
		}
		out, err := exec.Command(testtree.Need(t, "lsattr"), "-d", filepath.Join(dir, path)).Output()
		if err != nil {
			t.Fatal(err)
		}
		flags, _, _ := strings.Cut(string(out), " ")
		list[path] = strings.NewReplacer("-", "", "e", "", "N", "").Replace(flags) // e and N: how ext4 stores it
	}
	return list
}

// Guards: files that may not be changed are stored like any other; the attributes are in the catalog and never on a
// stored file, where they would forbid links; an option of restore sets them again, also on what may then not be
// changed.
func TestFileAttributes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		unlock(t, l.src)
		l.build(attrTree)
		testtree.Settle()
		l.run()
		rep := l.run()
		if c := rep.Counts; c.Unchanged != c.Files {
			t.Errorf("nothing changed, but: %+v", c)
		}
		l.allShared()
		want := lsattr(t, l.src)
		if want["immutable"] != "i" || want["log"] != "a" || !strings.Contains(want["several"], "d") {
			t.Fatalf("attributes of the source: %q: the test shows nothing", want)
		}
		for path, flags := range lsattr(t, l.path(rep.Snapshot)) {
			if flags != "" {
				t.Errorf("stored %q has the attributes %q", path, flags)
			}
		}
		l.build("chattr immutable -i\nchattr append -a\nappend append more\nchattr d/plain +d")
		l.run()
		l.later()

		to := filepath.Join(l.base, "with-attributes")
		unlock(t, to)
		c := l.catalog(l.order[0])
		restored, err := restore.Run(context.Background(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: l.path(l.order[0])}}, nil, to,
			restore.Options{Attrs: true})
		l.check(errors.Join(err, c.Close()))
		if restored.FailedCount > 0 || restored.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
			t.Errorf("restore: %+v", restored)
		}
		testtree.Equal(t, "restored", l.want[l.order[0]], testtree.Take(t, to), 0)
		for path, flags := range lsattr(t, to) {
			if flags != want[path] {
				t.Errorf("restored %q has the attributes %q, want %q", path, flags, want[path])
			}
		}
		if err := os.WriteFile(filepath.Join(to, "immutable"), nil, 0o644); err == nil {
			t.Error("the restored immutable file can be written to")
		}
	})
}

// Guards: a change of nothing but attributes is in the next snapshot's catalog, and the older one keeps what was.
func TestAttributesChange(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		unlock(t, l.src)
		l.build("file f 0644 x\ndir d 0755\nfile large 0644 random=1500000:1")
		testtree.Settle()
		l.run()
		for _, script := range []string{
			"chattr f +i", "chattr f -i +d", "chattr d +d\nchattr large +a", "chattr f =", "chattr large -a",
		} {
			l.build(script)
			l.run()
			testtree.Settle()
		}
		const immutable, appendOnly, noDump index.Attrs = 0x10, 0x20, 0x40
		for n, want := range []map[string]index.Attrs{{}, {"f": immutable}, {"f": noDump},
			{"f": noDump, "d": noDump, "large": appendOnly}, {"d": noDump, "large": appendOnly}, {"d": noDump}} {
			for path, e := range l.entries(l.order[n]) {
				if got := e.Attrs & (immutable | appendOnly | noDump); got != want[path] {
					t.Errorf("snapshot %d: attributes of %s are %#x, want %#x", n, path, got, want[path])
				}
			}
		}
		l.later()
	})
}

// Guards: with RespectNoDump what has the attribute is left out, folders with all below them, and told of.
func TestRespectNoDump(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		unlock(t, l.src)
		l.build(attrTree)
		l.opt.RespectNoDump = true
		told := make(map[string]snapshot.Action)
		l.opt.Item = func(i snapshot.Item) { told[i.Path] = i.Action }
		l.expect = func(tree testtree.Tree) {
			tree.Remove(func(path string) bool {
				return path == "nodump" || path == "several" || path == "nodumpdir" || below(path, "nodumpdir")
			})
		}
		for range 2 {
			rep := l.run()
			if rep.Counts.Excluded != 3 || told["nodump"] != snapshot.Excluded || told["nodumpdir"] != snapshot.Excluded {
				t.Errorf("%d excluded, told %v", rep.Counts.Excluded, told)
			}
			testtree.Settle()
		}
		l.build("chattr nodump -d\nchattr d/plain +d")
		l.expect = func(tree testtree.Tree) {
			tree.Remove(func(path string) bool {
				return path == "d/plain" || path == "several" || path == "nodumpdir" || below(path, "nodumpdir")
			})
		}
		l.run()
		l.opt.RespectNoDump, l.expect = false, nil
		l.run()
		l.later()
	})
}
