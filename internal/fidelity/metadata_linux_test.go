package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// Guards: each of the twelve bits of a mode is kept, on files and folders, and a change of any of them is found.
func TestModes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		var tree, change strings.Builder
		for mode := 0; mode <= 0o7777; mode += 0o37 {
			fmt.Fprintf(&tree, `
				file f%04[1]o %[1]o x owner=5:6
				dir d%04[1]o 0755
				file d%04[1]o/f 0600 y
				set d%04[1]o mode=%[1]o`, mode)
			fmt.Fprintf(&change, "set f%04o mode=%o\nset d%04o mode=%o\n", mode, mode^0o1001, mode, mode^0o6110)
		}
		l.stages(tree.String(), change.String(), "set . mode=0555", "set . mode=0000", "set . mode=7777")
	})
}

// Guards: owners are numbers, up to the largest there are, on everything.
func TestOwners(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		const most = 1<<32 - 2 // -1 means: leave it as it is
		l.stages(fmt.Sprintf(`
			file f 0644 x owner=%[1]d:%[1]d
			file suid 6755 x owner=%[1]d:65534
			dir d 2755 owner=65536:%[1]d
			file d/g 0644 x owner=2147483648:2147483647
			symlink d/s x owner=%[1]d:1
			fifo p 0644 owner=1:%[1]d
			char c 0600 1:3 owner=70000:70001`, most),
			fmt.Sprintf("set f owner=0:%d\nset d owner=%[1]d:0 mode=2755\nset d/s owner=0:0", most),
			fmt.Sprintf("set . owner=%d:%[1]d", most))
	})
}

// timeRange has the first and the last second that files can have on each file system (ext4: inodes of 256 bytes; xfs:
// bigtime), as far as a test needs to go.
var timeRange = map[string][2]int64{
	"ext4":  {-1 << 31, 1<<34 - 1<<31 - 1},
	"xfs":   {-1 << 31, 16299260424},
	"btrfs": {-1 << 40, 1 << 40},
}

// Guards: modification times are kept to the nanosecond, long before 1970 and after 2106, on everything; a change of
// one nanosecond is a change.
func TestTimes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		first, last := timeRange[l.kind][0], timeRange[l.kind][1]
		var tree strings.Builder
		for i, sec := range []int64{
			first, -2_000_000_000, -1, 0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 7_000_000_000, last,
		} {
			nsec := []int{0, 1, 999_999_999, 500_000_000}[i%4]
			if sec == last {
				nsec = 0
			}
			fmt.Fprintf(&tree, `
				file f%[1]d 0644 x mtime=%[2]d.%09[3]d
				dir d%[1]d 0755 mtime=%[2]d.%09[3]d
				file d%[1]d/in 0644 x
				symlink s%[1]d x mtime=%[2]d.%09[3]d
				fifo p%[1]d 0644 mtime=%[2]d.%09[3]d`, i, sec, nsec)
		}
		l.stages(tree.String(),
			"set f3 mtime=0.000000001\nset f0 mtime=1.5\nset d10 mtime=5.000000001\nset . mtime=-1.000000009",
			"file d9/new 0644 x\nset d9 mtime=7000000000.000000001",
			"rm d9/in\nset d9 mtime=7000000000.000000001")
		if got := l.taken[l.order[0]]["f0"].Mtime; got != fmt.Sprintf("%d.000000000", first) {
			t.Errorf("the file system holds %s: the test shows nothing", got)
		}
	})
}

// Guards: reading leaves no trace: the access times of files and folders in the source stay what they are, whatever the
// run has to read.
func TestAccessTimesOfTheSource(t *testing.T) {
	needRoot(t)
	l := newLab(t, "ext4")
	disk := testtree.NewDisk(t, "ext4", 32*mib)
	disk.Remount("strictatime")
	l.src = filepath.Join(disk.Path, "source")
	l.check(os.Mkdir(l.src, 0o755))
	l.build(`
		dir d 0755
		dir d/sub 0700
		file d/f 0644 "f" xattr.user.a=1
		file d/sub/big 0644 random=3000000:1
		file sparse 0644 x hole=2000000
		file acl 0644 x acl=u:5:r
		dir cache 0755
		file cache/CACHEDIR.TAG 0644 "Signature: 8a477f597d28d172789f06886806bc55"
		fifo p 0600`)
	l.opt.ExcludeCaches = true
	var paths []string
	for path := range testtree.Take(t, l.src) {
		paths = append(paths, path)
	}
	stamp := []unix.Timespec{{Sec: 1000, Nsec: 77}, {Nsec: unix.UTIME_OMIT}}
	reset := func() {
		for _, path := range paths {
			l.check(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(l.src, path), stamp, unix.AT_SYMLINK_NOFOLLOW))
		}
	}
	for round := range 3 {
		switch round {
		case 0:
			l.build("append d/f more\nset d/sub/big mode=0600")
			reset()
		case 1:
			testtree.Settle()
			reset() // moves the change times: everything is read again
		}
		rep := l.runUnseen()
		if round == 1 && rep.Counts.BytesRead == 0 {
			t.Error("nothing was read: the test shows nothing")
		}
		for _, path := range paths {
			var st unix.Stat_t
			l.check(unix.Lstat(filepath.Join(l.src, path), &st))
			if st.Atim != stamp[0] {
				t.Errorf("run %d: access time of %q is %d.%09d now", round, path, st.Atim.Sec, st.Atim.Nsec)
			}
		}
	}
	if got, err := os.ReadFile(filepath.Join(l.src, "d/f")); err != nil || string(got) != "fmore" {
		t.Fatal(string(got), err)
	}
	var st unix.Stat_t
	l.check(unix.Lstat(filepath.Join(l.src, "d/f"), &st))
	if st.Atim == stamp[0] {
		t.Error("this file system keeps no access times: the test shows nothing")
	}
}
