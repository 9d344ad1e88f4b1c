package restore

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
	"snapcopy/snapshot"
)

// series is a source of which a test takes snapshots, a day apart.
type series struct {
	builder
	archive string
	now     time.Time
	opt     snapshot.Options
}

func newSeries(t *testing.T) *series {
	t.Helper()
	s := &series{builder: builder{t, tempDir(t)}, archive: filepath.Join(t.TempDir(), "archive")}
	s.now = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	return s
}

// snap takes a snapshot and gives its name.
func (s *series) snap() string {
	s.t.Helper()
	opt := s.opt
	opt.Now = func() time.Time { return s.now }
	rep, err := snapshot.Run(context.Background(), s.root, s.archive, opt)
	s.check(err)
	s.now = s.now.AddDate(0, 0, 1)
	return rep.Snapshot
}

// refs lists the snapshots.
func (s *series) refs() (refs []Ref) {
	s.t.Helper()
	a, err := arch.Open(s.archive)
	s.check(err)
	list, err := a.Snapshots()
	s.check(errors.Join(err, a.Close()))
	for _, one := range list {
		refs = append(refs, Ref{one.Name, one.Catalog})
	}
	return refs
}

// explainer explains the newest snapshot.
func (s *series) explainer() *Explainer {
	s.t.Helper()
	refs := s.refs()
	c, err := index.Open(refs[len(refs)-1].Catalog)
	s.check(err)
	x, err := NewExplainer(c, refs)
	s.check(err)
	s.t.Cleanup(func() { s.check(errors.Join(x.Close(), c.Close())) })
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
		s.file(name, "what "+name+" holds")
	}
	s.link("split", "split2")
	s.file("whole/x", "of a folder that moves")
	s.snap()
	x := s.explainer()
	wantExplained(t, x, map[string]string{"same": "first_snapshot", "": "first_snapshot"})

	s.check(os.Remove(s.path("back")))
	s.check(os.Remove(s.path("away")))
	s.snap()

	s.file("content", "other")
	s.mode("mode", 0o600)
	s.xattr("xattr", "user.note", "x")
	s.mtime("mtime", 1_000_000_000, 5)
	s.check(os.Remove(s.path("type")))
	s.check(os.Symlink("same", s.path("type")))
	s.check(os.Rename(s.path("dir/moved"), s.path("dir/renamed")))
	s.check(os.Rename(s.path("whole"), s.path("entire")))
	s.link("group/a", "group/b")
	s.check(exec.Command("cp", "-a", s.path("split"), s.path("new")).Run())
	s.check(os.Rename(s.path("new"), s.path("split2")))
	s.file("first", "seen")
	s.check(exec.Command("cp", s.path("same"), s.path("copy")).Run())
	s.mtime("copy", 7, 7)
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
	s.file("back", "as it was")
	s.file("away", "to another place")
	s.mtime("back", 1_500_000_000, 1)
	s.mtime("away", 1_500_000_000, 2)
	s.file("always", "here")
	s.snap()
	for _, name := range []string{"back", "away"} {
		s.check(os.Rename(s.path(name), filepath.Join(filepath.Dir(s.archive), name)))
	}
	s.snap()
	s.check(os.Rename(filepath.Join(filepath.Dir(s.archive), "back"), s.path("back")))
	s.check(os.Rename(filepath.Join(filepath.Dir(s.archive), "away"), s.path("here")))
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
			s.file("f", "content")
			s.mtime("f", 1_000_000_000, 0)
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
			s.check(err)
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
	s.file("f", "0")
	s.snap()
	n := 0
	s.file("f", "changed")
	s.opt.Fault = func(step string) error {
		if step == "write" {
			n++
			s.file("f", strings.Repeat("x", n))
		}
		return nil
	}
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{"f": "changed_meanwhile fields=mtime"})
}

func TestExplainPreviousLost(t *testing.T) {
	s := newSeries(t)
	s.file("same", "x")
	s.file("edited", "x")
	first := s.snap()
	second := s.snap()
	s.file("edited", "yy")
	s.file("new", "z")
	s.snap()

	catalog := func(name string) string { return filepath.Join(s.archive, ".snapcopy", "catalogs", name+".cat") }
	content, err := os.ReadFile(catalog(second))
	s.check(err)
	s.check(os.Truncate(catalog(second), 100))
	wantExplained(t, s.explainer(), map[string]string{
		"same": "unchanged with=20 since=20 snapshots=1", "edited": "previous_unusable fields=mtime",
		"new": "previous_unusable", "": "metadata_changed fields=mtime",
	})
	s.check(os.WriteFile(catalog(second), content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"edited": "content_changed fields=mtime"})

	s.check(os.Remove(catalog(second)))
	wantExplained(t, s.explainer(), map[string]string{
		"same": "unchanged with=20 since=20 snapshots=1", "edited": "previous_gone fields=mtime",
	})
	s.check(os.Remove(catalog(first)))
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_gone", "": "previous_gone"})
}

// A run that found no usable catalog had nothing to compare with.
func TestExplainUnusableThen(t *testing.T) {
	s := newSeries(t)
	s.file("same", "x")
	s.mtime("same", 1_000_000_000, 0)
	first := s.snap()
	catalog := filepath.Join(s.archive, ".snapcopy", "catalogs", first+".cat")
	content, err := os.ReadFile(catalog)
	s.check(err)
	s.check(os.Truncate(catalog, 100))
	s.check(os.Remove(filepath.Join(s.archive, ".snapcopy", "index")))
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_unusable"})
	s.check(os.WriteFile(catalog, content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"same": "previous_unusable same=same"})
}

func TestExplainCopiedArchive(t *testing.T) {
	s := newSeries(t)
	s.file("same", "x")
	s.file("edited", "y")
	s.snap()
	to := s.archive + ".copy"
	s.check(exec.Command("cp", "-a", s.archive, to).Run())
	s.archive = to
	s.file("edited", "yy")
	s.snap()
	wantExplained(t, s.explainer(), map[string]string{
		"same": "archive_copied same=same", "edited": "content_changed fields=mtime",
	})
}

// What needs another file system or other privileges, in catalogs written for it.
func TestExplainFlags(t *testing.T) {
	base := func() model {
		m := model{}.file("f", "one").file("g", "two")
		m.edit("f", func(e *index.Entry) { e.Stored = 11 })
		return m.edit("g", func(e *index.Entry) { e.Stored = 12 })
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
		{"lacked owner", func(e *index.Entry) { e.Stored, e.Flags = 5, index.OwnerNotHeld }, nil, false, HoldsMore},
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
				old.edit("f", c.old)
			}
			if c.new != nil {
				young.edit("f", c.new)
			}
			closeAll(t, old.catalog(t, dir, "1"), young.catalogOf(t, dir, index.Summary{Snapshot: "2", Previous: "1"}))
			young2, err := index.Open(filepath.Join(dir, "2"))
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewExplainer(young2, []Ref{{"1", filepath.Join(dir, "1")}, {"2", filepath.Join(dir, "2")}})
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
	s.file("letters/draft", "x")
	s.snap()
	_, err := s.explainer().Explain(context.Background(), "letters/drft")
	var missing *NotFoundError
	if !errors.As(err, &missing) || !slices.Equal(missing.Nearest, []string{"letters/draft"}) {
		t.Errorf("error %v, want the nearest name", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.explainer().Explain(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after it was cancelled", err)
	}
}
