package instant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/overlay"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

const mib = 1 << 20

var diskSizes = map[string]int64{"ext4": 200 * mib, "xfs": 320 * mib, "btrfs": 400 * mib}

func newDisk(t *testing.T, kind string) *testtree.Disk {
	t.Helper()
	var extra []string
	if kind == "ext4" { // a small one gets small blocks, too small for a large extended attribute
		extra = []string{"-b", "4096"}
	}
	return testtree.NewDisk(t, kind, diskSizes[kind], extra...)
}

// site is a file system with a source, an archive of it with two snapshots, and a mountpoint.
type site struct {
	archive.OpenSnapshot
	t      *testing.T
	disk   *testtree.Disk
	source string
	at     string // the mountpoint
	before []string
}

// newSite makes one whose source is made by build.
func newSite(t *testing.T, kind string, build func(source string)) *site {
	t.Helper()
	disk := newDisk(t, kind)
	s := &site{disk: disk, source: filepath.Join(disk.Path, "source"), at: filepath.Join(disk.Path, "at:a,b\\c\n\xff")}
	s.t = t
	if err := os.Mkdir(s.source, 0o755); err != nil {
		t.Fatal(err)
	}
	build(s.source)
	archive := filepath.Join(disk.Path, "arch:iv,e\\")
	if _, err := snapshot.Run(context.Background(), s.source, archive, snapshot.Options{}); err != nil {
		t.Fatal(err)
	}
	s.OpenSnapshot = testarchive.TakeIn(t, s.source, archive) // the second one: what is stored has two names
	t.Cleanup(func() {
		unmount(t, s.at)
		s.close()
	})
	s.before = storedInodes(t, s.Dir)
	return s
}

func (s *site) close() {
	if s.Catalog != nil {
		if err := s.Catalog.Close(); err != nil {
			s.t.Error(err)
		}
		s.Catalog = nil
	}
}

// reboot takes everything away and mounts the disk again, without the overlay.
func (s *site) reboot() {
	s.t.Helper()
	s.close()
	unmount(s.t, s.at)
	s.disk.Remount("")
	archive, name := filepath.Split(s.Dir)
	c, err := index.Open(filepath.Join(archive, ".snapcopy", "catalogs", name+".cat"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Catalog = c
}

func unmount(t *testing.T, path string) {
	t.Helper()
	err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT { // not mounted
		t.Errorf("unmount %q: %v", path, err)
	}
}

func closeFD(t *testing.T, fd int) {
	t.Helper()
	if err := fsat.Close(fd); err != nil {
		t.Error(err)
	}
}

// instant mounts the snapshot.
func (s *site) instant() *Report {
	s.t.Helper()
	r, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{ArchiveID: "id"})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// settle settles, and checks that nothing is left behind.
func (s *site) settle() *SettleReport {
	s.t.Helper()
	open := testtree.OpenDescriptors(s.t)
	r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if !r.Settled || r.FailedCount > 0 {
		s.t.Fatalf("%+v", r)
	}
	if now := testtree.OpenDescriptors(s.t); now != open {
		s.t.Errorf("%d descriptors open before, %d after", open, now)
	}
	s.settled()
	return r
}

// settled checks that there is an ordinary tree, without anything of the kernel's in it or beside it.
func (s *site) settled() {
	s.t.Helper()
	if _, err := Read(s.at); !errors.Is(err, ErrNotInstant) {
		s.t.Errorf("after settling: %v", err)
	}
	names, err := filepath.Glob(filepath.Join(s.disk.Path, ".*"))
	if err != nil || len(names) > 0 {
		s.t.Errorf("left behind: %q, %v", names, err)
	}
	for path, item := range testtree.Take(s.t, s.at) {
		if strings.Contains(item.Xattrs, ".overlay.") || item.Device == "0:0" {
			s.t.Errorf("%q: %+v", path, item)
		}
	}
}

// untouched checks that nothing about the stored files has changed, not even a change time.
func (s *site) untouched() {
	s.t.Helper()
	testarchive.SameTree(s.t, s.before, storedInodes(s.t, s.Dir))
}

// storedInodes describes the inodes of a tree, with what any change would change.
func storedInodes(t *testing.T, root string) []string {
	t.Helper()
	fd, err := fsat.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var walk func(fd int, path string) int
	walk = func(fd int, path string) int {
		list, err := fsat.ReadDir(fd, make([]byte, 64<<10))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range append(list, fsat.DirEntry{Name: "."}) {
			var st unix.Stat_t
			if err := unix.Fstatat(fd, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%q %d %o %d:%d %d %d %v %v", path+"/"+e.Name, st.Ino, st.Mode,
				st.Uid, st.Gid, st.Nlink, st.Size, st.Mtim, st.Ctim))
			if e.Type != fsat.Directory {
				continue
			}
			child, err := fsat.OpenDir(fd, e.Name)
			if err != nil {
				t.Fatal(err)
			}
			closeFD(t, fd)
			child = walk(child, path+"/"+e.Name)
			if fd, err = fsat.OpenParent(child); err != nil {
				t.Fatal(err)
			}
			closeFD(t, child)
		}
		return fd
	}
	closeFD(t, walk(fd, ""))
	return lines
}

// restored is what an ordinary restore makes of the snapshot, beside the mountpoint.
func (s *site) restored() string {
	s.t.Helper()
	to := filepath.Join(s.disk.Path, "restored")
	rep, err := restore.Run(context.Background(), s.OpenSnapshot, nil, to, restore.Options{})
	if err != nil || rep.FailedCount > 0 {
		s.t.Fatalf("restore: %v, %+v", err, rep)
	}
	return to
}

func (s *site) same(what, want string) {
	s.t.Helper()
	s.sameWithout(what, want, 0)
}

// sameWithout is same but for some fields: holes are right only when the tree is settled.
func (s *site) sameWithout(what, want string, without testtree.Field) {
	s.t.Helper()
	testtree.Equal(s.t, what, testtree.Take(s.t, want), testtree.Take(s.t, s.at), without)
}

// edits change a torture tree in every way, in two parts. Times are set where a change would set them.
var edits = [2]string{`
append plain "more"
set plain mtime=77.7
write a/group "changed under one of its names"
set a/group mtime=78.7
rm many/007
file many/new 0600 "new" mtime=79.7
set many mtime=80.7
mv b moved
set . mtime=81.7
rm fifo
fifo fifo 0601 mtime=82.7
set . mtime=83.7
`, `
mv moved/c names/c
set moved mtime=90.7
set names mtime=91.7
rm a
dir a 0700 mtime=92.7
file a/inside 0644 "a folder in the place of another" mtime=93.7
set a mtime=94.7
set sparse mode=0600 xattr.user.later="1"
mv large "names/large"
set names mtime=95.7
symlink large plain mtime=96.7
link hard empty
unset plain user.note
rm "read only dir/file"
set "read only dir" mtime=97.7
set . mtime=98.7
`}

// Guards: an instant tree is the snapshot, in everything; what is changed there is kept, across a reboot too; settled it
// is what restore would have made, with those changes; and nothing of it ever reaches the archive.
func TestInstantIsExact(t *testing.T) {
	for _, c := range []struct {
		kind  string
		links int // so many that the kernel has to keep them together
	}{{"ext4", 0}, {"ext4", maxJoined}, {"xfs", maxJoined}, {"btrfs", 0}} {
		t.Run(fmt.Sprint(c.kind, " ", c.links), func(t *testing.T) {
			s := newSite(t, c.kind, func(source string) {
				manyLinks(t, source, c.links)
				testarchive.MakeTorture(t, source)
			})
			want := s.restored()
			if r := s.instant(); r.Resumed || r.Mended > 0 != (c.links == 0) || r.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
				t.Errorf("%+v", r)
			}
			s.same("instant", want)
			for i, script := range edits {
				testtree.Build(t, s.at, script)
				testtree.Build(t, want, script)
				s.sameWithout(fmt.Sprint("edited ", i), want, testtree.Holes)
				s.reboot()
				if r := s.instant(); !r.Resumed {
					t.Errorf("%+v", r)
				}
				s.sameWithout(fmt.Sprint("after reboot ", i), want, testtree.Holes)
			}
			r := s.settle()
			s.same("settled", want)
			if r.Copied == 0 || len(r.Damaged) > 0 {
				t.Errorf("%+v", r)
			}
			s.untouched()
			s.reboot()
			s.same("settled and rebooted", want)
		})
	}
}

// manyLinks makes n names of link groups of two.
func manyLinks(t *testing.T, source string, n int) {
	t.Helper()
	b := testarchive.Builder{T: t, Root: source}
	for i := range n / 2 {
		b.File(fmt.Sprint("linked/", i), fmt.Sprint(i))
		b.Link(fmt.Sprint("linked/", i), fmt.Sprintf("linked too/%d", i))
	}
}

// Guards: archive and target on different file systems; a tree that nobody changed is the snapshot.
func TestInstantAcrossFileSystems(t *testing.T) {
	s := newSite(t, "ext4", func(source string) { testarchive.MakeTorture(t, source) })
	other := newDisk(t, "xfs")
	s.at = filepath.Join(other.Path, "at")
	s.instant()
	s.same("instant", s.source)
	r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Threads: 2})
	if err != nil || !r.Settled {
		t.Fatalf("%+v, %v", r, err)
	}
	s.same("settled", s.source)
	s.untouched()
}

// smallTree is enough to meet each step of settling.
const smallTree = `
set . mode=0750 mtime=5.5
dir d 0755 mtime=6.6
file d/a 0644 "aaa" mtime=1.1
file d/b 4755 "bbb" mtime=2.2 xattr.user.x="y"
link d/c d/a
dir e 0700 mtime=7.7
file e/1 0644 "1" mtime=8.8
file sparse 0644 "head" at=300000:tail hole=500000 mtime=5.55
file gone 0644 "removed there"
symlink s d/a mtime=3.3
fifo p 0600 mtime=4.4
dir old 0755 mtime=9.9
file old/f 0644 "f" mtime=9.8
`

const smallEdit = `
rm gone
mv old new
rm e/1
file e/2 0644 "2" mtime=10.1
set e mtime=10.2
set . mtime=10.3
`

func newSmall(t *testing.T, kind string) (s *site, want string) {
	t.Helper()
	s = newSite(t, kind, func(source string) { testtree.Build(t, source, smallTree) })
	want = s.restored()
	testtree.Build(t, want, smallEdit)
	return s, want
}

// Guards: making a tree, interrupted at each step, leaves one that was never there or one that can be mounted again.
func TestInstantInterrupted(t *testing.T) {
	s, want := newSmall(t, "ext4")
	errFault := errors.New("interrupted")
	done := false
	for n := 1; !done; n++ {
		steps := 0
		var failed string
		_, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{Fault: func(step string) error {
			if steps++; steps == n {
				failed = step
				return errFault
			}
			return nil
		}, ArchiveID: "id"})
		if done = err == nil; done {
			break
		}
		if !errors.Is(err, errFault) {
			t.Fatalf("step %d %q: %v", n, failed, err)
		}
		if names, err := os.ReadDir(s.at); err == nil && len(names) > 0 {
			t.Errorf("step %d %q: something is there", n, failed)
		}
		if n%2 == 0 {
			s.reboot()
		}
	}
	testtree.Build(t, s.at, smallEdit)
	s.settle()
	s.same("settled", want)
	s.untouched()
}

// Guards: an attempt that failed, and whose leftovers could not be removed, is no obstacle to the next one.
func TestInstantLeavesLayers(t *testing.T) {
	s, want := newSmall(t, "ext4")
	layer := filepath.Join(filepath.Dir(s.at), "."+filepath.Base(s.at)+".snapcopy-instant", upperName)
	chattr := testtree.Need(t, "chattr")
	var refused error // in a container
	errFault := errors.New("interrupted")
	_, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{Fault: func(step string) error {
		if step != "save mounted" {
			return nil
		}
		refused = exec.Command(chattr, "+i", layer).Run()
		return errFault
	}, ArchiveID: "id"})
	if refused != nil {
		t.Skip("no immutable files here: ", refused)
	}
	if !errors.Is(err, errFault) || !errors.Is(err, unix.EPERM) {
		t.Fatalf("it fails with %v", err)
	}
	must(t, exec.Command(chattr, "-i", layer).Run())
	s.instant()
	testtree.Build(t, s.at, smallEdit)
	s.settle()
	s.same("settled", want)
}

// Guards: what fails once the tree is mounted is told, and is no failure: the tree could not be mounted again.
func TestInstantFailsAfter(t *testing.T) {
	s, want := newSmall(t, "ext4")
	errFault := errors.New("interrupted")
	for _, resumed := range []bool{false, true} {
		r, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{Fault: func(step string) error {
			if step == "close" {
				return errFault
			}
			return nil
		}, ArchiveID: "id"})
		if err != nil || !errors.Is(r.After, errFault) || r.Resumed != resumed {
			t.Fatalf("%v: %+v, %v", resumed, r, err)
		}
		if names, err := os.ReadDir(s.at); err != nil || len(names) == 0 {
			t.Fatalf("nothing is mounted: %v", err)
		}
		s.reboot()
	}
	s.instant()
	testtree.Build(t, s.at, smallEdit)
	s.settle()
	s.same("settled", want)
}

// Guards: settling, interrupted at each step, with a reboot there or without, goes on and gives the same tree.
func TestSettleInterrupted(t *testing.T) {
	s, want := newSmall(t, "ext4")
	errFault := errors.New("interrupted")
	seen := make(map[string]bool)
	for n, done := 1, false; !done; n++ {
		s.instant()
		testtree.Build(t, s.at, smallEdit)
		steps := 0
		fault := func(step string) error {
			if steps++; steps == n {
				seen[step] = true
				return errFault
			}
			return nil
		}
		_, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Threads: 1, Fault: fault})
		if done = err == nil; !done {
			if !errors.Is(err, errFault) {
				t.Fatalf("step %d: %v", n, err)
			}
			if n%2 == 0 {
				s.reboot()
			}
			r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{})
			if err != nil || !r.Settled {
				t.Fatalf("after step %d: %+v, %v", n, r, err)
			}
		}
		s.settled()
		s.same(fmt.Sprint("step ", n), want)
		if err := os.RemoveAll(s.at); err != nil {
			t.Fatal(err)
		}
	}
	steps := "copy|unmount|save cleaning|dig|clean|time|save clean|exchange|exchanged|remove"
	for step := range strings.SplitSeq(steps, "|") {
		if !seen[step] {
			t.Errorf("step %q was never met", step)
		}
	}
	s.untouched()
}

// Guards: a mount in use is said to be, by whom, and settles when it is not any more, without copying again; files that
// stayed open after a lazy unmount are noticed.
func TestSettleBusy(t *testing.T) {
	s, want := newSmall(t, "ext4")
	s.instant()
	testtree.Build(t, s.at, smallEdit)
	f, err := os.Open(filepath.Join(s.at, "d/a"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{})
	var busy *BusyError
	us := fmt.Sprint("process ", os.Getpid(), " (")
	if !errors.As(err, &busy) || !strings.Contains(strings.Join(busy.Users, "\n"), us) {
		t.Errorf("busy: %v %v", err, busy)
	}
	s.sameWithout("still there", want, testtree.Holes)
	if err := unix.Unmount(s.at, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err = Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{}); !errors.Is(err, overlay.ErrInUse) {
		t.Errorf("a file is open after a lazy unmount: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r := s.settle(); r.Copied > 0 {
		t.Errorf("copied again: %+v", r)
	}
	s.same("settled", want)
}

// Guards: what is damaged in the archive is told of, whether it was found before an interruption or after, and whoever had
// it copied.
func TestSettleFindsDamage(t *testing.T) {
	s, _ := newSmall(t, "ext4")
	mirror := testarchive.Builder{T: t, Root: s.Dir}
	var st unix.Stat_t
	mirror.Check(unix.Lstat(mirror.Path("d/b"), &st))
	mirror.Check(os.WriteFile(mirror.Path("d/b"), []byte("bXb"), 0o755))
	mirror.Check(unix.UtimesNanoAt(unix.AT_FDCWD, mirror.Path("d/b"), []unix.Timespec{st.Atim, st.Mtim}, 0))
	mirror.Check(unix.Lstat(mirror.Path("d/a"), &st)) // of a link group, which is made at once
	mirror.Check(os.WriteFile(mirror.Path("d/a"), []byte("aXa"), 0o755))
	mirror.Check(unix.UtimesNanoAt(unix.AT_FDCWD, mirror.Path("d/a"), []unix.Timespec{st.Atim, st.Mtim}, 0))
	mirror.Check(os.Remove(mirror.Path("old/f")))
	mirror.Check(os.WriteFile(mirror.Path("foreign"), nil, 0o600))
	s.instant()
	errFault := errors.New("interrupted")
	_, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Fault: func(step string) error {
		if step == "unmount" {
			return errFault
		}
		return nil
	}})
	if !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	r := s.settle()
	if got := strings.Join(r.Damaged, " "); got != "d/a d/b d/c foreign old/f" {
		t.Errorf("damaged: %q", got)
	}
	if text, err := os.ReadFile(filepath.Join(s.at, "d/b")); err != nil || string(text) != "bXb" {
		t.Errorf("%q, %v", text, err)
	}
}
