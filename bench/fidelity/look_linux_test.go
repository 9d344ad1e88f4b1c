package main

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// small makes a tree in which there is something of everything that needs no privileges.
func small(m *maker) {
	m.file("file", "content")
	m.xattr("file", "user.note", "a note")
	m.sparse("sparse", 4<<20, 0)
	m.file("links/a", "two names")
	m.link("links/a", "links/b")
	m.symlink("symlink", "target")
	m.node("FIFO", unix.S_IFIFO, 0, 0)
	m.folder("folder/below")
}

// TestPlantedDifferences copies a tree, changes one thing in the copy, and expects to be told of just that.
func TestPlantedDifferences(t *testing.T) {
	everything := []field{mode, owner, mtime, xattrs, links, holes}
	source := t.TempDir()
	m := &maker{root: source}
	if small(m); errors.Is(m.err, unix.ENOTSUP) {
		t.Skipf("this file system has no extended attributes: %v", m.err)
	} else if m.err != nil {
		t.Fatal(m.err)
	}
	want, err := look(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		plant func(m *maker)
		want  string
	}{
		{"nothing", func(*maker) {}, "kept"},
		{"content", func(m *maker) { m.file("file", "CONTENT"); restoreTime(m, source, "file") }, "partly (not file)"},
		{"mode", func(m *maker) { m.chmod("file", 0o600) }, "partly (not mode of file)"},
		{"mtime", func(m *maker) { m.mtime("symlink", 1, 1) }, "partly (not mtime of symlink)"},
		{"xattr", func(m *maker) { m.xattr("file", "user.note", "another") }, "partly (not xattrs of file)"},
		{"new xattr", func(m *maker) { m.xattr("folder", "user.empty", "") }, "partly (not xattrs of folder)"},
		{"hole filled", func(m *maker) {
			m.edit("sparse", func(f *os.File) error {
				_, err := f.WriteAt(make([]byte, 1<<20), 2<<20)
				return err
			})
			restoreTime(m, source, "sparse")
		}, "partly (not holes of sparse)"},
		{"link broken", func(m *maker) {
			m.remove("links/b")
			m.file("links/b", "two names")
			restoreTime(m, source, "links/b", "links")
		}, "partly (not links of links)"},
		{"target", func(m *maker) {
			m.remove("symlink")
			m.symlink("symlink", "TARGET")
			restoreTime(m, source, "symlink")
		}, "partly (not symlink)"},
		{"missing", func(m *maker) { m.remove("FIFO") }, "partly (not FIFO)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &maker{root: t.TempDir()}
			if out, err := exec.Command("cp", "-aT", "--sparse=always", source, m.root).CombinedOutput(); err != nil {
				t.Fatalf("cp: %v: %s", err, out)
			}
			if test.plant(m); m.err != nil {
				t.Fatal(m.err)
			}
			got, err := look(m.root)
			if err != nil {
				t.Fatal(err)
			}
			if cell := verdict(compare(want, got, everything)); cell != test.want {
				t.Errorf("%q, want %q", cell, test.want)
			}
		})
	}
}

// TestLookingFarDown looks at what no path can name.
func TestLookingFarDown(t *testing.T) {
	top := t.TempDir()
	m := &maker{root: top}
	m.deep("want/deep", 60, 100)
	m.deep("same/deep", 60, 100)
	m.deep("less/deep", 59, 100)
	if m.err != nil {
		t.Fatal(m.err)
	}
	want, err := look(top + "/want")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"same": "kept", "less": "lost"} {
		got, err := look(top + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if cell := verdict(compare(want, got, []field{mode})); cell != text {
			t.Errorf("%s: %q, want %q", name, cell, text)
		}
	}
}

// restoreTime gives names the time that they have in the source.
func restoreTime(m *maker, source string, names ...string) {
	for _, name := range names {
		var st unix.Stat_t
		if m.err == nil {
			m.err = unix.Lstat(source+"/"+name, &st)
		}
		m.mtime(name, st.Mtim.Sec, st.Mtim.Nsec)
	}
}

func TestLookingLeavesAccessTimes(t *testing.T) {
	m := &maker{root: t.TempDir()}
	if oldAccess(m); m.err != nil {
		t.Fatal(m.err)
	}
	first, err := look(m.root)
	if err != nil {
		t.Fatal(err)
	}
	second, err := look(m.root)
	if err != nil {
		t.Fatal(err)
	}
	if cell := verdict(compare(first, second, []field{atime})); cell != "kept" {
		t.Errorf("access times: %s", cell)
	}
	if got := first["file"][atime]; got != "1000000000.000000001" {
		t.Errorf("access time of file: %s", got)
	}
}
