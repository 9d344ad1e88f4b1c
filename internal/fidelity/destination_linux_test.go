package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

const richTree = `
	dir d 2750 owner=7:8 mtime=1000.5 acl=u:9:rx default=u:10:rwx
	file d/f 0640 "text" owner=7:8 mtime=-1000.5 acl=u:9:r
	link d/g d/f
	file suid 4755 "program" owner=0:5 xattr.user.a=1
	file cap 0755 "program" xattr.security.capability=` + capNetBind + `
	file trusted 0600 "t" xattr.trusted.t=1 xattr.user.bin="\x00\xff"
	symlink s target owner=3:4 mtime=5.5
	fifo p 0640 owner=3:4 mtime=6.5
	char null 0666 1:3
	file sparse 0644 hole=3000000 at=1500000:x
	file large 0600 random=1500000:1 owner=12:13`

// Guards: what an archive's file system cannot hold is in the catalog, told once with counts, the same in each run, and
// restored completely from there to a file system that can.
func TestArchiveLacksSomething(t *testing.T) {
	needRoot(t)
	big := strings.Repeat("b", 60_000)
	for _, c := range []struct {
		name    string
		archive func(t *testing.T) string
		tree    string
		without testtree.Field
		lacks   archive.CatalogOnly // at least these
	}{
		{"btrfs without ACLs", func(t *testing.T) string {
			d := testtree.NewDisk(t, "btrfs", 256*mib)
			d.Remount("noacl")
			return d.Path
		}, richTree, testtree.Xattrs, archive.CatalogOnly{Xattrs: 2}},
		{"ext4 with small attributes", func(t *testing.T) string { return testtree.NewDisk(t, "ext4", 64*mib).Path },
			richTree + "\nfile big 0644 x xattr.user.big=" + big + "\ndir bigdir 0755 xattr.user.big=" + big,
			testtree.Xattrs, archive.CatalogOnly{Xattrs: 2}},
		{"tmpfs", func(t *testing.T) string {
			path := t.TempDir()
			testtree.Tmpfs(t, path, "size=64m")
			return path
		}, richTree, 0, archive.CatalogOnly{}},
		{"ext4 with small inodes", func(t *testing.T) string { return testtree.NewDisk(t, "ext4", 64*mib, "-I", "128").Path },
			richTree, testtree.Mtime, archive.CatalogOnly{Times: 4}},
		{"vfat", func(t *testing.T) string { return testtree.NewDisk(t, "vfat", 64*mib).Path },
			richTree, 0, archive.CatalogOnly{Entries: 3, Owners: 4, Modes: 3, Times: 3, Xattrs: 4, Links: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "ext4")
			l.arch = filepath.Join(c.archive(t), "archive")
			l.build(c.tree)
			testtree.Settle()
			var first *archive.Report
			for range 3 {
				var rep *archive.Report
				if c.name == "vfat" { // the mirror is no measure
					l.opt.AllowCopies = true
					rep = l.runChanging()
					l.want[rep.Snapshot] = testtree.Take(t, l.src)
				} else {
					l.without = c.without
					rep = l.run()
				}
				if first == nil {
					first = rep
				}
				n, least := rep.CatalogOnly, c.lacks
				if n != first.CatalogOnly || n.Entries < least.Entries || n.Owners < least.Owners || n.Modes < least.Modes ||
					n.Times < least.Times || n.Xattrs < least.Xattrs || n.Links < least.Links ||
					least == (archive.CatalogOnly{}) && n != least {
					t.Errorf("not held: %+v, in the first run %+v; want at least %+v", n, first.CatalogOnly, least)
				}
				if rep.Incomplete {
					t.Errorf("incomplete: %+v", rep.Failed)
				}
			}
			l.build("set d/f mode=0600\nset suid xattr.user.a=2\nset d mtime=2000.5\nrm s\nsymlink s other")
			rep := l.runChanging()
			l.want[rep.Snapshot] = testtree.Take(t, l.src)
			l.later()
		})
	}
}

// forNobody is a lab in which the user nobody can make an archive and restore.
func forNobody(t *testing.T) *lab {
	needRoot(t)
	l := newLab(t, "ext4")
	for _, dir := range []string{disks["ext4"].folder, l.base} {
		l.check(os.Chmod(dir, 0o755))
	}
	l.check(os.Chown(l.base, nobody, nobody))
	return l
}

// Guards: a snapshot that a user without privileges has made holds owners, modes and devices in its catalog, and root
// restores all of it; so do others what they may.
func TestCatalogOfUnprivilegedRun(t *testing.T) {
	l := forNobody(t)
	l.build(`
		dir d 0755 owner=7:8 mtime=1000.5
		file d/f 0644 "text" owner=4294967294:4294967294 mtime=-1000.5
		link d/g d/f
		file suid 4755 "program" owner=0:5 xattr.user.a=1
		file mine 6755 "mine" owner=65534:65534
		file acl 0644 "x" acl=u:9:rw
		symlink s target owner=3:4 mtime=5.5
		fifo p 0644 owner=3:4 mtime=6.5
		char null 0666 1:3 owner=0:9
		file sparse 0644 hole=3000000 at=1500000:x
		file group 2644 "x" owner=65534:0`)
	testtree.Settle()
	want := testtree.Take(t, l.src)
	for range 2 {
		r := job{Source: l.src, Archive: l.arch}.run(t)
		if r.Err != "" || r.Report.Incomplete {
			t.Fatalf("%s; %+v", r.Err, r.Report)
		}
		l.note(r.Report)
		l.want[r.Report.Snapshot] = want
		if n := r.Report.CatalogOnly; n.Owners < 6 || n.Modes == 0 || n.Entries != 1 {
			t.Errorf("not held: %+v", n)
		}
	}
	l.later()
	to := filepath.Join(l.base, "by-nobody")
	r := job{Archive: l.arch, Snapshot: l.order[1], To: to}.run(t)
	if r.Err != "" || strings.Join(r.Failed, " ") != "null" || r.Restored.Owners < 6 {
		t.Errorf("%s; failed %v, not held %+v", r.Err, r.Failed, r.Restored)
	}
	delete(want, "null")
	for path, item := range want {
		if item.Owner != "65534:65534" && item.Mode&0o6000 != 0 { // no set-ID bits for an owner they were not meant for
			item.Mode &^= 0o6000
			want[path] = item
		}
	}
	testtree.Equal(t, "restored by nobody", want, testtree.Take(t, to), testtree.Owner)
}

// Guards: folders that may not be written to or entered, the source's own among them, can be stored, linked, published
// and removed again by a user without privileges.
func TestClosedFoldersWithoutPrivileges(t *testing.T) {
	for _, top := range []uint32{0o555, 0o500, 0o755} {
		t.Run(fmt.Sprintf("%o", top), func(t *testing.T) {
			l := forNobody(t)
			l.build(`
				dir r 0555 mtime=1000.5
				file r/f 0444 "f" mtime=5.5
				dir r/r 0555
				file r/r/g 0400 "g"
				link r/h r/f
				dir x 0300
				dir empty 0111
				file none 0000 "nothing to be read"
				dir w 0777
				file w/xattr 0444 "x" xattr.user.a=1`)
			for path := range testtree.Take(t, l.src) {
				l.check(os.Lchown(filepath.Join(l.src, path), nobody, nobody))
			}
			l.build(fmt.Sprintf("set . mode=%o mtime=77.7", top))
			want := testtree.Take(t, l.src)
			for _, path := range []string{"none"} {
				delete(want, path)
			}
			for round := range 3 {
				if round > 0 { // what a run that fails has made goes away again
					r := job{Source: l.src, Archive: l.arch, FailAt: "sync"}.run(t)
					if !strings.Contains(r.Err, errWanted.Error()) {
						t.Fatalf("%q", r.Err)
					}
					for _, name := range []string{"tree", "catalog"} {
						if _, err := os.Lstat(l.path(".snapcopy", "work", name)); !os.IsNotExist(err) {
							t.Errorf("work/%s is left: %v", name, err)
						}
					}
				}
				r := job{Source: l.src, Archive: l.arch}.run(t)
				if r.Err != "" {
					t.Fatal(r.Err)
				}
				l.note(r.Report)
				testtree.Equal(t, "snapshot", want, l.last(0), 0)
				failed := make(map[string]bool)
				for _, f := range r.Report.Failed {
					failed[f.Path] = true
				}
				if len(failed) != 3 || !failed["x"] || !failed["empty"] || !failed["none"] {
					t.Errorf("failed: %+v", r.Report.Failed)
				}
				if e := l.entries(r.Report.Snapshot); e["x"].Mode != 0o300 || e["empty"].Flags&index.Unread == 0 {
					t.Errorf("catalog: %+v %+v", e["x"], e["empty"])
				}
			}
			l.allShared()
			to := filepath.Join(l.base, "by-nobody")
			if r := (job{Archive: l.arch, Snapshot: l.order[2], To: to}).run(t); r.Err != "" || len(r.Failed) > 0 {
				t.Errorf("restore: %s, %v", r.Err, r.Failed)
			}
			testtree.Equal(t, "restored", want, testtree.Take(t, to), 0)
			l.intact()
			l.verify()
		})
	}
}
