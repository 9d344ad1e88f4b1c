package verify_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
)

// Guards: Verify reads a stored file once, with all names of a link group, under a name it was moved from, in an archive
// that was copied, too.
func TestVerifyReadsOnceWhateverTheNames(t *testing.T) {
	l := newLab(t)
	l.Build(`dir a 0755
		file a/big 0644 random=500000:1
		link a/second a/big
		link a/third a/big
		file moved 0644 random=1000:2`)
	testtree.Settle()
	l.Run()
	if err := os.Rename(l.Src+"/moved", l.Src+"/a/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(l.Src+"/a/big", l.Src+"/a/biggest"); err != nil {
		t.Fatal(err)
	}
	l.Run()
	copied := t.TempDir() + "/copy"
	if out, err := exec.Command("cp", "-a", l.Arch, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	for _, arch := range []string{l.Arch, copied} {
		for range 3 {
			if rep, found := archivetest.VerifyAll(t, arch); rep.FilesRead != 2 || rep.BytesRead != 501000 || len(found) > 0 {
				t.Errorf("read %d files, %d bytes; found %q", rep.FilesRead, rep.BytesRead, found)
			}
		}
	}
}

// Guards: a name that was linked to a sound stored file with another content is found all the same.
func TestVerifyFindsNameLinkedElsewhere(t *testing.T) {
	l := newLab(t)
	l.Build("file b 0644 before mtime=5")
	testtree.Settle()
	first := l.Run()
	l.Build("rm b\nfile a 0644 behind mtime=5")
	second := l.Run()
	if err := os.Remove(l.Path(first.Snapshot, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(l.Path(second.Snapshot, "a"), l.Path(first.Snapshot, "b")); err != nil {
		t.Fatal(err)
	}
	_, found := archivetest.VerifyAll(t, l.Arch)
	if !strings.Contains(strings.Join(found, "\n"), "b: damage: content differs") {
		t.Errorf("found %q", found)
	}
}

// Guards: what is wrong with the metadata of a file does not keep Verify from reading its content; both are one finding.
func TestVerifyReadsContentBesideMetadata(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 content mtime=5\nfile g 0644 content mtime=6")
	testtree.Settle()
	rep := l.Run()
	for _, name := range []string{"f", "g"} {
		path := l.Path(rep.Snapshot, name)
		if err := os.WriteFile(path, []byte("CONTENT"), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, found := archivetest.VerifyAll(t, l.Arch)
	if len(found) != 2 {
		t.Fatalf("found %q", found)
	}
	for _, line := range found {
		for _, part := range []string{"mode is 0600, was 0644", "modification time is ", "content differs"} {
			if !strings.Contains(line, part) {
				t.Errorf("%q does not say %q", line, part)
			}
		}
	}
}
