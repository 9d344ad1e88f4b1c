package snapshot_test

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
)

// Guards: times that the archive's file system clamps or rounds without an error are in the catalog and known to be only
// there: verify finds no damage, and later runs share the files.
func TestClampedTimes(t *testing.T) {
	const oddTimes = `file longago 0644 x mtime=-11644473600
		file before1901 0644 x mtime=-2200000000
		file before1970 0644 x mtime=-1
		file after2038 0644 x mtime=2147483648
		file after2106 0644 x mtime=4294967296.123456789
		file after2486 0644 x mtime=16299260425
		file fine 0644 x mtime=1234567890.123456789
		file plain 0644 x mtime=1234567890
		dir old 0755 mtime=-11644473600
		symlink oldlink target mtime=-11644473600
		fifo oldpipe 0600 mtime=-11644473600`
	for _, c := range []struct {
		kind  string
		size  int64
		extra []string
		times uint64 // entries whose times it cannot hold
	}{
		{"ext4", 32 * archivetest.MiB, []string{"-I", "128"}, 9},
		{"ext4", 32 * archivetest.MiB, nil, 6},
		{"xfs", 320 * archivetest.MiB, []string{"-m", "bigtime=0"}, 8},
		{"btrfs", 128 * archivetest.MiB, nil, 0},
	} {
		t.Run(strings.Join(append([]string{c.kind}, c.extra...), " "), func(t *testing.T) {
			t.Parallel()
			disk := testtree.NewDisk(t, c.kind, c.size, c.extra...)
			l := newLab(t)
			l.Parallel, l.Without, l.Arch = true, testtree.Mtime, disk.Path+"/archive"
			testtree.Tmpfs(t, l.Src, "size=1m")
			l.Build(oddTimes + "\nset . mtime=1")
			testtree.Settle()
			for range 2 {
				rep := l.Run()
				if rep.CatalogOnly != (archive.CatalogOnly{Times: c.times}) {
					t.Errorf("not held: %+v, want %d times", rep.CatalogOnly, c.times)
				}
			}
			l.AllShared()
			disk.Remount("") // what counts is what has come to the disk
			l.Verify()
			for path, e := range l.Entries(l.Order[1]) {
				if strings.HasPrefix(path, "old") || path == "longago" {
					if e.Mtime.Sec > -11644473600 {
						t.Errorf("the catalog has %v for %s", e.Mtime, path)
					}
				}
				if path == "plain" && e.Flags&index.TimeCatalogOnly != 0 {
					t.Error("a time that could be held is said not to be")
				}
			}
		})
	}
}

// Guards: what a file system takes without an error and does not keep is in the catalog only, whatever it is. Here the
// system calls say that they have done what they have not.
func TestForgetfulFileSystem(t *testing.T) {
	testtree.NeedRoot(t)
	strace := testtree.Need(t, "strace")
	for _, c := range []struct {
		call string
		want archive.CatalogOnly
	}{
		{"fsetxattr", archive.CatalogOnly{Xattrs: 3}},
		{"fchown", archive.CatalogOnly{Owners: 1}},
		{"fchmod", archive.CatalogOnly{Modes: 2}},
		{"utimensat", archive.CatalogOnly{Times: 6}},
		{"fchownat", archive.CatalogOnly{Owners: 2}},
	} {
		t.Run(c.call, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			l.Build(`file f 0644 x acl=u:5:rw xattr.user.k=v owner=5:6 mtime=5
				dir d 0755 default=u:5:rwx mtime=5
				set d mode=4755
				dir d/sub 0750
				symlink s target owner=7:8
				char null 0644 1:3 owner=7:8
				set . mode=0755`)
			testtree.Settle()
			cmd := archivetest.Job{Source: l.Src, Archive: l.Arch}.Command(t, false)
			cmd.Args = []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=" + c.call + ":retval=0", cmd.Path}
			cmd.Path = strace
			out, err := cmd.Output()
			if err != nil {
				t.Skipf("strace cannot inject results here: %v", err)
			}
			var r archivetest.Result
			if err := json.Unmarshal(out, &r); err != nil || r.Report == nil {
				t.Fatalf("%s: %v", out, err)
			}
			if r.Report.CatalogOnly != c.want {
				t.Errorf("not held: %+v, want %+v", r.Report.CatalogOnly, c.want)
			}
			l.Verify()
		})
	}
}

// Guards: on a file system of Linux, names are tried and found to be kept byte by byte, without a file left open.
func TestProbeOfNames(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 32*archivetest.MiB)
	l := newLab(t)
	l.Arch = disk.Path + "/archive"
	l.Run() // which counts open files
	a := l.Open()
	defer l.Close(a)
	if c := a.Info.Capabilities; !c.CaseSensitive || !c.RawNames || !c.NamesKept {
		t.Errorf("probed: %+v", c)
	}
}

// Guards: where the file system takes a name for another one of the folder, as those do that do not tell capitals from
// small letters, no link can be made; that does not end the run.
func TestNameTakenAtLink(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 content\nsymlink s target")
	testtree.Settle()
	l.Run()
	l.Opt.Fault = func(step string) error {
		if step == "link" {
			return unix.EEXIST
		}
		return nil
	}
	rep := l.Run()
	l.Counts(rep, "2 unchanged")
	l.Opt.Fault = nil
	l.Verify()
}
