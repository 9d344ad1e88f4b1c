package archive_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/verified"
)

// Guards: forget-path takes the path out of the note of damage, and leaves the rest of the note.
func TestForgetInDamaged(t *testing.T) {
	l := archivetest.New(t)
	l.Build("dir d 0755\nfile d/secret 0644 x\nfile d/secrets 0644 y")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	name := list[0].Name
	names := func(paths ...string) (list []verified.Name) {
		for _, path := range paths {
			list = append(list, verified.Name{Snapshot: name, Path: path})
		}
		return list
	}
	err = a.Verified().UpdateDamage(t.Context(), func(n *verified.Note) {
		n.Add(verified.Damaged{Kind: verified.Content, Stored: 1, Found: "x", Names: names("d/secret", "d/secrets"), Seen: time.Now()})
		n.Add(verified.Damaged{Kind: verified.Content, Stored: 2, Found: "open d/secret: no", Names: names("other"), Seen: time.Now()})
		n.Add(verified.Damaged{Kind: verified.Content, Stored: 3, Found: "y", Names: names("d/secret/below"), Seen: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ForgetPath(t.Context(), "d/secret", archive.ForgetOptions{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.Verified().DamagePath)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), "d/secret") != 1 || strings.Count(string(text), "d/secrets") != 1 || !strings.Contains(string(text), "other") {
		t.Errorf("note of damage: %s", text)
	}
}

// Guards: damage of a stored file that was known under the forgotten path alone stays known under its other names.
func TestForgetOneNameOfDamage(t *testing.T) {
	l := archivetest.New(t)
	l.Build("dir d 0755\nfile d/secret 0644 x\nlink public d/secret")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	c, err := list[0].OpenCatalog()
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := c.Lookup("public")
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	err = a.Verified().UpdateDamage(t.Context(), func(n *verified.Note) {
		n.Add(verified.Damaged{Kind: verified.Content, Stored: e.Stored, Hash: e.Hash, Found: "x", Seen: time.Now(),
			Names: []verified.Name{{Snapshot: list[0].Name, Path: "d/secret"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ForgetPath(t.Context(), "d/secret", archive.ForgetOptions{}); err != nil {
		t.Fatal(err)
	}
	n, err := a.Verified().Damage()
	want := verified.Name{Snapshot: list[0].Name, Path: "public"}
	if err != nil || len(n.Damaged) != 1 || len(n.Damaged[0].Names) != 1 || n.Damaged[0].Names[0] != want {
		t.Errorf("known: %+v, %v", n, err)
	}
}
