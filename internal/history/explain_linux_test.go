package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	arch "snapcopy/internal/archive"
	"snapcopy/internal/lookup"
	"snapcopy/internal/testarchive"
	"snapcopy/snapshot"
)

// series is a source of which a test takes snapshots, a day apart.
type series struct {
	testarchive.Builder
	archive string
	now     time.Time
	opt     snapshot.Options
}

func newSeries(t *testing.T) *series {
	t.Helper()
	s := &series{Builder: testarchive.Builder{T: t, Root: testarchive.TempDir(t)}, archive: filepath.Join(t.TempDir(), "archive")}
	s.now = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	return s
}

// snap takes a snapshot and gives its name.
func (s *series) snap() string {
	s.T.Helper()
	opt := s.opt
	opt.Now = func() time.Time { return s.now }
	rep, err := snapshot.Run(context.Background(), s.Root, s.archive, opt)
	s.Check(err)
	s.now = s.now.AddDate(0, 0, 1)
	return rep.Snapshot
}

// refs lists the snapshots.
func (s *series) refs() []arch.Snapshot {
	s.T.Helper()
	a, err := arch.Open(s.archive)
	s.Check(err)
	list, err := a.Snapshots()
	s.Check(errors.Join(err, a.Close()))
	return list
}

// explainer explains the newest snapshot.
func (s *series) explainer() *Explainer {
	s.T.Helper()
	refs := s.refs()
	c, err := index.Open(refs[len(refs)-1].CatalogPath)
	s.Check(err)
	x, err := NewExplainer(c, refs)
	s.Check(err)
	s.T.Cleanup(func() { s.Check(errors.Join(x.Close(), c.Close())) })
	return x
}

// explained gives what is said of an entry, in short.
func explained(t *testing.T, x *Explainer, path string) string {
	t.Helper()
	ex, err := x.Explain(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(ex.Reason)
	add := func(word, value string) {
		if value != "" {
			text += " " + word + "=" + value
		}
	}
	day := func(snapshot string) string {
		return strings.TrimSuffix(strings.TrimPrefix(snapshot, "2026-11-"), "T020000Z")
	}
	add("with", day(ex.With))
	if ex.From != path {
		add("from", ex.From)
	}
	add("since", day(ex.Since))
	if ex.Snapshots > 0 {
		add("snapshots", fmt.Sprint(ex.Snapshots))
	}
	add("fields", strings.Join(ex.Fields, ","))
	add("same", ex.SameContent)
	add("apart", strings.Join(ex.Apart, ","))
	add("by", ex.By)
	return text
}

func wantExplained(t *testing.T, x *Explainer, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got := explained(t, x, path); got != text {
			t.Errorf("%s: %s, want %s", path, got, text)
		}
	}
}

// below gives the counts below a directory, sorted.
func below(t *testing.T, x *Explainer, path string) string {
	t.Helper()
	ex, err := x.Explain(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	sum := uint64(0)
	for reason, n := range ex.Below.ByReason {
		list = append(list, fmt.Sprintf("%s=%d", reason, n))
		sum += n
	}
	if sum != ex.Below.Shared+ex.Below.Stored || sum != ex.Entry.Below.Files {
		t.Errorf("%q: %d counted by reason, %d shared, %d stored anew, %d below", path, sum, ex.Below.Shared,
			ex.Below.Stored, ex.Entry.Below.Files)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestExplainHistory(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"same", "content", "mode", "xattr", "mtime", "type", "dir/moved", "group/a", "split",
		"back", "away", "edited"} {
		s.File(name, "what "+name+" holds")
	}
	s.Link("split", "split2")
	s.File("whole/x", "of a folder that moves")
	s.snap()
	x := s.explainer()
	wantExplained(t, x, map[string]string{"same": "first_snapshot", "": "first_snapshot"})

	s.Check(os.Remove(s.Path("back")))
	s.Check(os.Remove(s.Path("away")))
	s.snap()

	s.File("content", "other")
	s.Mode("mode", 0o600)
	s.Xattr("xattr", "user.note", "x")
	s.Mtime("mtime", 1_000_000_000, 5)
	s.Check(os.Remove(s.Path("type")))
	s.Check(os.Symlink("same", s.Path("type")))
	s.Check(os.Rename(s.Path("dir/moved"), s.Path("dir/renamed")))
	s.Check(os.Rename(s.Path("whole"), s.Path("entire")))
	s.Link("group/a", "group/b")
	s.Check(exec.Command("cp", "-a", s.Path("split"), s.Path("new")).Run())
	s.Check(os.Rename(s.Path("new"), s.Path("split2")))
	s.File("first", "seen")
	s.Check(exec.Command("cp", s.Path("same"), s.Path("copy")).Run())
	s.Mtime("copy", 7, 7)
	s.snap()
	x = s.explainer()
	wantExplained(t, x, map[string]string{
		"same":        "unchanged with=21 since=20 snapshots=2",
		"content":     "content_changed fields=mtime",
		"mode":        "metadata_changed fields=mode same=mode apart=mode",
		"xattr":       "metadata_changed fields=xattrs same=xattr apart=xattrs",
		"mtime":       "metadata_changed fields=mtime same=mtime apart=mtime",
		"type":        "type_changed fields=mode,mtime",
		"dir/renamed": "moved with=21 from=dir/moved since=20 snapshots=2",
		"group/a":     "unchanged with=21 since=20 snapshots=2 fields=links",
		"group/b":     "new_name with=21 from=group/a since=20 snapshots=2",
		"split":       "unchanged with=21 since=20 snapshots=2 fields=links",
		"split2":      "taken_by_other fields=links same=split apart=links by=split",
		"first":       "first_seen",
		"copy":        "first_seen same=same apart=mtime",
		"entire":      "moved with=21 from=whole",
		"dir":         "metadata_changed fields=mtime",
	})
	if got, want := below(t, x, ""), "content_changed=1 first_seen=2 metadata_changed=3 moved=2 new_name=1 "+
		"taken_by_other=1 type_changed=1 unchanged=4"; got != want {
		t.Errorf("below the root: %s, want %s", got, want)
	}
	if got, want := below(t, x, "group"), "new_name=1 unchanged=1"; got != want {
		t.Errorf("below group: %s, want %s", got, want)
	}
}

// What an older snapshot has, and the previous one has not, is shared with that.
func TestExplainReturned(t *testing.T) {
	s := newSeries(t)
	s.File("back", "as it was")
	s.File("away", "to another place")
	s.Mtime("back", 1_500_000_000, 1)
	s.Mtime("away", 1_500_000_000, 2)
	s.File("always", "here")
	s.snap()
	for _, name := range []string{"back", "away"} {
		s.Check(os.Rename(s.Path(name), filepath.Join(filepath.Dir(s.archive), name)))
	}
	s.snap()
	s.Check(os.Rename(filepath.Join(filepath.Dir(s.archive), "back"), s.Path("back")))
	s.Check(os.Rename(filepath.Join(filepath.Dir(s.archive), "away"), s.Path("here")))
	s.snap()
	x := s.explainer()
	wantExplained(t, x, map[string]string{
		"back": "returned with=20 since=20 snapshots=1",
		"here": "returned with=20 from=away since=20 snapshots=1",
	})
	if got, want := below(t, x, ""), "returned=2 unchanged=1"; got != want {
		t.Errorf("below: %s, want %s", got, want)
	}
}

// The reasons that lie in the archive: each link the run tries meets an error.
func TestExplainFailedLinks(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{unix.EMLINK, LinkLimit}, {unix.ENOENT, StoredMissing}, {unix.EPERM, NotLinked},
	} {
		t.Run(string(c.want), func(t *testing.T) {
			s := newSeries(t)
			s.File("f", "content")
			s.Mtime("f", 1_000_000_000, 0)
			s.snap()
			s.opt.Fault = func(step string) error {
				if step == "link" {
					return c.err
				}
				return nil
			}
			s.snap()
			x := s.explainer()
			ex, err := x.Explain(context.Background(), "f")
			s.Check(err)
			if ex.Reason != c.want {
				t.Errorf("%s, want %s", ex.Reason, c.want)
			}
			if got, want := below(t, x, ""), string(c.want)+"=1"; got != want {
				t.Errorf("below: %s, want %s", got, want)
			}
			s.opt.Fault = nil
			s.snap()
			wantExplained(t, s.explainer(), map[string]string{"f": "unchanged with=21 since=21 snapshots=1"})
		})
	}
}

func TestExplainTorn(t *testing.T) {
	s := newSeries(t)
	s.File("f", "0")
	s.snap()
	n := 0
	s.File("f", "changed")
	s.opt.Fault = func(step string) error {
		if step == "write" {
			n++
			s.File("f", strings.Repeat("x", n))
		}
		return nil
	}
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{"f": "changed_meanwhile fields=mtime"})
}

func TestExplainPreviousLost(t *testing.T) {
	s := newSeries(t)
	s.File("same", "x")
	s.File("edited", "x")
	first := s.snap()
	second := s.snap()
	s.File("edited", "yy")
	s.File("new", "z")
	s.snap()

	catalog := func(name string) string { return filepath.Join(s.archive, ".snapcopy", "catalogs", name+".cat") }
	content, err := os.ReadFile(catalog(second))
	s.Check(err)
	s.Check(os.Truncate(catalog(second), 100))
	wantExplained(t, s.explainer(), map[string]string{
		"same": "unchanged with=20 since=20 snapshots=1", "edited": "previous_unusable fields=mtime",
		"new": "previous_unusable", "": "metadata_changed fields=mtime",
	})
	s.Check(os.WriteFile(catalog(second), content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"edited": "content_changed fields=mtime"})

	s.Check(os.Remove(catalog(second)))
	wantExplained(t, s.explainer(), map[string]string{
		"same": "unchanged with=20 since=20 snapshots=1", "edited": "previous_gone fields=mtime",
	})
	s.Check(os.Remove(catalog(first)))
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_gone", "": "previous_gone"})
}

// A run that found no usable catalog had nothing to compare with.
func TestExplainUnusableThen(t *testing.T) {
	s := newSeries(t)
	s.File("same", "x")
	s.Mtime("same", 1_000_000_000, 0)
	first := s.snap()
	catalog := filepath.Join(s.archive, ".snapcopy", "catalogs", first+".cat")
	content, err := os.ReadFile(catalog)
	s.Check(err)
	s.Check(os.Truncate(catalog, 100))
	s.Check(os.Remove(filepath.Join(s.archive, ".snapcopy", "index")))
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_unusable"})
	s.Check(os.WriteFile(catalog, content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_unusable same=same"})
}

func TestExplainCopiedArchive(t *testing.T) {
	s := newSeries(t)
	s.File("same", "x")
	s.File("edited", "y")
	s.snap()
	to := s.archive + ".copy"
	s.Check(exec.Command("cp", "-a", s.archive, to).Run())
	s.archive = to
	s.File("edited", "yy")
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{
		"same": "archive_copied same=same", "edited": "content_changed fields=mtime",
	})
}

// What needs another file system or other privileges, in catalogs written for it.
func TestExplainFlags(t *testing.T) {
	base := func() testarchive.Model {
		m := testarchive.Model{}.File("f", "one").File("g", "two")
		m.Edit("f", func(e *index.Entry) { e.Stored = 11 })
		return m.Edit("g", func(e *index.Entry) { e.Stored = 12 })
	}
	for _, c := range []struct {
		name     string
		old, new func(*index.Entry) // change f
		noLinks  bool
		want     Reason
	}{
		{"same", nil, nil, false, Unchanged},
		{"not stored", nil, func(e *index.Entry) { e.Stored, e.Flags = 0, index.NotStored }, false, InCatalogOnly},
		{"was not stored", func(e *index.Entry) { e.Stored, e.Flags = 0, index.NotStored }, nil, false, WasInCatalog},
		{"lacked owner", func(e *index.Entry) { e.Stored, e.Flags = 5, index.OwnerCatalogOnly }, nil, false, HoldsMore},
		{"no links", nil, func(e *index.Entry) { e.Stored = 6 }, true, NoHardLinks},
		{"no links, made-up number", nil, nil, true, NoHardLinks},
		{"taken", func(e *index.Entry) { e.Stored = 12 }, nil, false, TakenByOther},
		{"attributes", nil, func(e *index.Entry) { e.Attrs = 0x40 }, false, Unchanged},
		{"device", func(e *index.Entry) { *e = index.Entry{Type: index.CharDevice, Nlink: 1, Major: 1, Stored: 4} },
			func(e *index.Entry) { *e = index.Entry{Type: index.CharDevice, Nlink: 1, Major: 2, Stored: 5} }, false,
			OtherContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			old, young := base(), base()
			if c.old != nil {
				old.Edit("f", c.old)
			}
			if c.new != nil {
				young.Edit("f", c.new)
			}
			testarchive.CloseAll(t, old.Catalog(t, dir, "1"), young.CatalogOf(t, dir, index.Summary{Snapshot: "2", Previous: "1"}))
			young2, err := index.Open(filepath.Join(dir, "2"))
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewExplainer(young2, []arch.Snapshot{{Name: "1", CatalogPath: filepath.Join(dir, "1")}, {Name: "2", CatalogPath: filepath.Join(dir, "2")}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := errors.Join(x.Close(), young2.Close()); err != nil {
					t.Error(err)
				}
			}()
			x.NoLinks = c.noLinks
			if got, _, _ := strings.Cut(explained(t, x, "f"), " "); got != string(c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if text := below(t, x, ""); !strings.Contains(text, string(c.want)+"=") {
				t.Errorf("below: %s, want %s among it", text, c.want)
			}
		})
	}
}

func TestExplainAbsent(t *testing.T) {
	s := newSeries(t)
	s.File("letters/draft", "x")
	s.snap()
	_, err := s.explainer().Explain(context.Background(), "letters/drft")
	var missing *lookup.NotFoundError
	if !errors.As(err, &missing) || !slices.Equal(missing.Nearest, []string{"letters/draft"}) {
		t.Errorf("error %v, want the nearest name", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.explainer().Explain(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after it was cancelled", err)
	}
}
