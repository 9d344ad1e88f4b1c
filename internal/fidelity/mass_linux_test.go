package fidelity

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// Guards: a change of metadata of everything at once leaves the old snapshots as they are to the last bit, reads each
// content once at most, and costs no second copy where the file system can share blocks.
func TestMetadataOfEverythingChanges(t *testing.T) {
	const files, large = 1000, 6
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		var tree strings.Builder
		for i := range files {
			if i%50 == 0 {
				fmt.Fprintf(&tree, "dir %d 0755\n", i/50)
			}
			fmt.Fprintf(&tree, "file %d/%d 0644 %q\n", i/50, i, strings.Repeat(fmt.Sprint(i, " "), 50+i%1000))
		}
		for i := range large {
			fmt.Fprintf(&tree, "file 1/large%d 0644 random=%d:%d\n", i, 1_500_000+i, i)
		}
		l.build(tree.String() + "link 2/again 1/large0\nfile 2/holes 0644 hole=5000000 at=2500000:x")
		testtree.Settle()
		l.run()
		for _, c := range []struct {
			command string
			stored  bool // is every file stored anew?
		}{
			{"chmod -R g+w .", true},
			{"chown -R 12:34 .", true},
			{"find . -exec touch -a {} +", false},
			{"setfacl -R -m u:77:r .", true},
			{"find . -type f -exec setfattr -n user.all -v x {} +", true},
			{"find . -exec touch -h -d @1000.5 {} +", true},
		} {
			for _, program := range []string{"setfacl", "setfattr"} {
				if strings.Contains(c.command, program) {
					testtree.Need(t, program)
				}
			}
			cmd := exec.Command("sh", "-c", c.command)
			cmd.Dir = l.src
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", c.command, err, out)
			}
			rep := l.run()
			counts := rep.Counts
			if counts.BytesRead > counts.BytesTotal {
				t.Errorf("%s: %d bytes read of %d", c.command, counts.BytesRead, counts.BytesTotal)
			}
			if anew := counts.Changed == counts.Files; anew != c.stored || !anew && counts.Unchanged != counts.Files {
				t.Errorf("%s: %+v", c.command, counts)
			}
			if c.stored && l.kind != "ext4" && counts.BytesStored > 0 {
				t.Errorf("%s: %d bytes stored", c.command, counts.BytesStored)
			}
			for i := range large {
				l.shared(!c.stored, fmt.Sprint("1/large", i))
			}
			if l.kind != "ext4" {
				for _, name := range []string{"1/large3", "2/holes", "15/799"} {
					if !sharesBlocks(t, filepath.Join(l.path(rep.Snapshot), name)) {
						t.Errorf("%s: %s has blocks of its own", c.command, name)
					}
				}
			}
			testtree.Settle()
		}
		l.intact()
		l.verify()
		l.restored(l.order[len(l.order)-1], nil)
		l.restored(l.order[0], nil)
	})
}

// sharesBlocks reports whether each extent of a file is used by another file, too (FIEMAP_EXTENT_SHARED).
func sharesBlocks(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	const (
		fiemap       = 0xc020660b
		head, extent = 32, 56
		most         = 50
		shared       = 0x2000
	)
	buf := make([]byte, head+most*extent)
	binary.NativeEndian.PutUint64(buf[8:], 1<<62)
	binary.NativeEndian.PutUint32(buf[16:], 1) // FIEMAP_FLAG_SYNC
	binary.NativeEndian.PutUint32(buf[24:], most)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fiemap, uintptr(unsafe.Pointer(&buf[0]))); e != 0 {
		t.Fatal(e)
	}
	n := int(binary.NativeEndian.Uint32(buf[20:]))
	for i := range n {
		if binary.NativeEndian.Uint32(buf[head+i*extent+40:])&shared == 0 {
			return false
		}
	}
	return n > 0
}

// Guards: equal files within one source share their blocks where the file system can, and stay separate files.
func TestDuplicatesShareBlocks(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t, kind)
			l.src = filepath.Join(folderOn(t, "ext4"), "source") // so that none of it is shared to begin with
			l.check(os.Mkdir(l.src, 0o755))
			const size, copies = 3_000_000, 6
			l.opt.Threads = 1
			l.build("dir d 0755")
			for i := range copies {
				l.build(fmt.Sprintf("file d/%d 0%d44 random=%d:1 mtime=%d.5", i, 4+i%3, size, i))
			}
			rep := l.run()
			if rep.Counts.BytesStored > size {
				t.Errorf("%d bytes stored for %d copies of %d", rep.Counts.BytesStored, copies, size)
			}
			for path, item := range l.last(0) {
				if item.Group != "" {
					t.Errorf("%s shares an inode with %s", path, item.Group)
				}
				if item.Type == "file" && !sharesBlocks(t, filepath.Join(l.path(rep.Snapshot), path)) {
					t.Errorf("%s has blocks of its own", path)
				}
			}
			l.build("cp d e\nset d/3 mode=0600")
			if rep = l.run(); rep.Counts.BytesStored > 0 {
				t.Errorf("%d bytes stored for more copies", rep.Counts.BytesStored)
			}
			l.build("append d/0 x\nset d/1 at=5:y")
			l.run()
			l.later()
		})
	}
}
