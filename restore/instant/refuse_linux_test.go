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

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/overlay"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: whatever cannot work is refused, and leaves nothing.
func TestInstantRefuses(t *testing.T) {
	s, _ := newSmall(t, "ext4")
	make := func(at string, want error) {
		t.Helper()
		_, before := os.Lstat(at)
		_, err := Make(context.Background(), s.OpenSnapshot, at, Options{ArchiveID: "id"})
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", at, err, want)
		}
		folder := filepath.Join(filepath.Dir(at), stateFolderName(filepath.Base(at)))
		if _, err := os.Lstat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: left something, %v", at, err)
		}
		if _, after := os.Lstat(at); (before == nil) != (after == nil) {
			t.Errorf("%q: before: %v, after: %v", at, before, after)
		}
	}
	make(s.source, ErrNotEmpty)
	make(filepath.Join(s.Dir, "x"), inside.ErrTarget)
	make(s.disk.Path, ErrUnsuitable)
	make("/", ErrUnsuitable)
	t.Run("no permissions", func(t *testing.T) {
		make(filepath.Join(testtree.NewDisk(t, "exfat", 64<<20).Path, "at"), ErrUnsuitable)
	})
	t.Run("no extended attributes", func(t *testing.T) {
		at := filepath.Join(testtree.Fuse(t, "unionfs-fuse"), "at")
		_, err := Make(context.Background(), s.OpenSnapshot, at, Options{ArchiveID: "id"})
		if _, lstatErr := os.Lstat(at); !errors.Is(err, overlay.ErrNoXattrs) || !errors.Is(lstatErr, os.ErrNotExist) {
			t.Errorf("%v, and the mountpoint: %v", err, lstatErr)
		}
	})
	other := filepath.Join(testarchive.TempDir(t), "at") // its state folder is somebody's own
	must(t, os.Mkdir(filepath.Join(filepath.Dir(other), stateFolderName("at")), 0o755))
	if _, err := Make(context.Background(), s.OpenSnapshot, other, Options{}); err == nil {
		t.Error("a state folder that others can enter is taken")
	}
	if _, err := os.Lstat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q is left: %v", other, err)
	}
	if _, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{}); !errors.Is(err, ErrNotInstant) {
		t.Errorf("settle: %v", err)
	}
	s.instant()
	if _, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{}); !errors.Is(err, ErrMounted) {
		t.Errorf("twice: %v", err)
	}
	unmount(t, s.at)
	_, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{ArchiveID: "other"})
	if !errors.Is(err, ErrOtherSnapshot) {
		t.Errorf("other archive: %v", err)
	}
	stray := filepath.Join(s.at, "written while nothing was mounted")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("settle over what was written: %v", err)
	}
	if err := os.Remove(stray); err != nil {
		t.Fatal(err)
	}
	s.settle()
}

// Guards: a source with parts of an overlay in it would be shown wrongly, and is refused.
func TestInstantRefusesOverlays(t *testing.T) {
	for _, script := range []string{
		"file f 0644 xattr.trusted.overlay.opaque=\"y\"",
		"dir d 0755\ndir d/e 0755 xattr.trusted.overlay.redirect=\"/x\"",
		"char whiteout 0600 0:0",
	} {
		s := newSite(t, "ext4", func(source string) { testtree.Build(t, source, script) })
		_, err := Make(context.Background(), s.OpenSnapshot, s.at, Options{})
		if !errors.Is(err, ErrUnsuitable) {
			t.Errorf("%s: %v", script, err)
		}
		if _, err := os.Lstat(s.at); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the mountpoint is left, %v", script, err)
		}
	}
}

// Guards: what the archive could not hold is made from the catalog before the tree is there.
func TestInstantMends(t *testing.T) {
	s := newSite(t, "ext4", func(source string) { testtree.Build(t, source, smallTree) })
	for _, name := range []string{"d", "d/b", "p", "e", "s"} { // as a run without privileges would have left them
		if err := os.Lchown(filepath.Join(s.Dir, name), testarchive.HelperUser, testarchive.HelperGroup); err != nil {
			t.Fatal(err)
		}
	}
	m := newMender(&instant{stateFile: stateFile{Indexed: true}}, s.OpenSnapshot, Options{})
	for _, path := range []string{"d", "d/b", "p", "e", "s"} {
		e, ok, err := s.Catalog.Lookup(path)
		if err != nil || !ok {
			t.Fatal(path, ok, err)
		}
		e.Flags |= index.OwnerCatalogOnly
		names := strings.Split(path, "/")
		if err := m.note(wayOf(names[:len(names)-1]), &e); err != nil {
			t.Fatal(err)
		}
	}
	s.instant()
	fd, err := fsat.OpenRoot(s.at)
	if err != nil {
		t.Fatal(err)
	}
	err = m.mend(fd)
	closeFD(t, fd)
	if err != nil || m.mended != 5 {
		t.Fatal(m.mended, err)
	}
	s.same("mended", s.source)
	s.settle()
	s.same("settled", s.source)
}

// Guards: the whole of it in a user namespace, where the kernel keeps no link groups together.
func TestInstantInUserNamespace(t *testing.T) {
	testtree.NeedRoot(t)
	unshare, setpriv := testtree.Need(t, "unshare"), testtree.Need(t, "setpriv")
	s := newSite(t, "ext4", func(source string) {
		testtree.Build(t, source, strings.ReplaceAll(smallTree, "4755", "0755"))
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// All is given to a user, who then is root in a namespace of his own.
	user := func(path string) {
		t.Helper()
		err := filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, testarchive.HelperUser, testarchive.HelperUser))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	user(s.disk.Path)
	if err := os.RemoveAll(filepath.Dir(s.Dir)); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(s.disk.Path, "program")
	if content, err := os.ReadFile(self); err != nil || os.WriteFile(program, content, 0o755) != nil {
		t.Fatal(err)
	}
	for at := s.disk.Path; at != filepath.Dir(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o5 != 0o5 && os.Chmod(at, 0o755) != nil {
			t.Fatal(err)
		}
	}
	id := fmt.Sprint(testarchive.HelperUser)
	cmd := exec.Command(setpriv, "--reuid", id, "--regid", id, "--clear-groups", unshare, "-Urm", program)
	cmd.Env = append(os.Environ(), instantEnv+"="+s.disk.Path)
	if out, err := cmd.CombinedOutput(); err != nil {
		text := string(out)
		if strings.Contains(text, "unshare failed") || strings.Contains(text, overlay.ErrNotPermitted.Error()) {
			t.Skipf("no user namespaces here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	s.same("settled", s.source)
}

// Guards: a user's folder with the name of the one for the state of an instant restore is not touched.
func TestUsersFolderNamedLikeInstantState(t *testing.T) {
	testtree.NeedRoot(t)
	source := testarchive.BuiltTree(t, `dir .d.snapcopy-instant 0700 mtime=5
		file .d.snapcopy-instant/lock 0600 "mine"
		dir .d.snapcopy-instant/upper 0700 mtime=5
		set .d.snapcopy-instant mtime=5`)
	before := testtree.Take(t, source)
	a := testarchive.Take(t, testarchive.BuiltTree(t, "file f 0644 x"))
	must(t, os.Mkdir(filepath.Join(source, "new"), 0o755))
	for _, folder := range []string{".new.snapcopy-instant"} {
		must(t, os.Rename(filepath.Join(source, ".d.snapcopy-instant"), filepath.Join(source, folder)))
		_, err := Make(context.Background(), a, filepath.Join(source, "new"), Options{})
		if !errors.Is(err, ErrUnsuitable) {
			t.Error(err)
		}
		if _, err := Settle(context.Background(), a, filepath.Join(source, "new"), SettleOptions{}); err == nil {
			t.Error("it was settled")
		}
		must(t, os.Rename(filepath.Join(source, folder), filepath.Join(source, ".d.snapcopy-instant")))
	}
	must(t, os.Remove(filepath.Join(source, "new")))
	testtree.Equal(t, "what was there", before, testtree.Take(t, source), testtree.Mtime)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
