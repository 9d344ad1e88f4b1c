package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
)

// Guards: the newest thousand records stay; lists in them are cut and their counts kept; a damaged one is no obstacle; a
// temporary file of a record that another process is writing stays, and goes when it is old.
func TestUnpublishedBounded(t *testing.T) {
	l := archivetest.New(t)
	l.Build("file f 0644 x")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	runs := l.Path(archive.MetaDir, archive.RunsDir)
	for i := range 1005 {
		name := archive.NameAt(at.Add(time.Duration(i) * time.Minute))
		if err := os.WriteFile(filepath.Join(runs, name+".unpublished.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := at.AddDate(1, 0, 0)
	rep := &archive.Report{Start: now, Source: "/bad\xff", Failed: make([]archive.FailedItem, 300)}
	rep.Counts.Failed = 300
	if err := a.RecordUnpublished(rep, archive.OutcomeFailed, errors.New("why")); err != nil {
		t.Fatal(err)
	}
	names, err := a.Reports.UnpublishedNames()
	if err != nil || len(names) != 1000 || names[0] != archive.NameAt(at.Add(6*time.Minute)) || names[999] != archive.NameAt(now) {
		t.Errorf("%d records from %s to %s, %v", len(names), names[0], names[len(names)-1], err)
	}
	u, err := a.Reports.ReadUnpublished(names[999])
	if err != nil || u.Source != rep.Source || len(u.Failed) != 100 || u.Counts.Failed != 300 || len(rep.Failed) != 300 || u.Error != "why" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := a.Reports.ReadUnpublished(names[0]); err == nil {
		t.Error("a damaged record was read")
	}
	if info, err := os.Stat(filepath.Join(runs, names[999]+".unpublished.json")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	young, old := filepath.Join(runs, ".x.unpublished.json.1.tmp"), filepath.Join(runs, ".x.unpublished.json.2.tmp")
	for _, path := range []string{young, old} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, at, at); err != nil {
		t.Fatal(err)
	}
	l.Run()
	l.Verify()
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old temporary file is left: %v", err)
	}
	if list, err := a.Standings(); err != nil || len(list) != 2 {
		t.Errorf("%d standings, %v", len(list), err)
	}
}

// Guards: forget-path takes the path out of the records of runs that published nothing, too.
func TestForgetInUnpublished(t *testing.T) {
	l := archivetest.New(t)
	l.Build("dir d 0755\nfile d/secret 0644 x\nfile d/secrets 0644 y")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	rep := &archive.Report{Start: time.Now(), Source: l.Src, Failed: []archive.FailedItem{{Path: "d/secret", Error: "a"}, {Path: "d/secrets", Error: "b"}},
		LeftOut: []archive.LeftOutItem{{"d/secret/below", "c"}}}
	for _, text := range []string{"open d/secret: no", "open /src/d/secret/x: no", "open d/secrets: no"} {
		if err := a.RecordUnpublished(rep, archive.OutcomeFailed, errors.New(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.ForgetPath(context.Background(), "d/secret", archive.ForgetOptions{}); err != nil {
		t.Fatal(err)
	}
	names, err := a.Reports.UnpublishedNames()
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for i, name := range names {
		text, err := os.ReadFile(l.Path(archive.MetaDir, archive.RunsDir, name+".unpublished.json"))
		if err != nil {
			t.Fatal(err)
		}
		others := 1
		if i == 2 {
			others = 2
		}
		if n := strings.Count(string(text), "d/secret"); n != others || strings.Count(string(text), "d/secrets") != others {
			t.Errorf("%s: %s", name, text)
		}
	}
}
