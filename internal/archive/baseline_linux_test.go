package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/snapshot"
)

// many is a script for a folder of n files.
func many(dir string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dir %s 0755\n", dir)
	for i := range n {
		fmt.Fprintf(&b, "file %s/f%d 0644 \"%s %d\"\n", dir, i, dir, i)
	}
	return b.String()
}

// nightlyLab is a lab with a source, the runs of which are a day apart.
func nightlyLab(t *testing.T, script string) *lab {
	l := newLab(t)
	l.Parallel = true
	l.Nightly()
	l.Build(script)
	return l
}

// dies lets a run die before a step.
func (l *lab) dies(before string) {
	l.Opt.Fault = func(step string) error {
		if step == before {
			panic("died")
		}
		return nil
	}
	defer func() {
		_ = recover()
		l.Opt.Fault = nil
	}()
	_, _ = snapshot.Run(l.T.Context(), l.Src, l.Arch, l.Opt)
}

func (l *lab) move(from, to string) {
	l.T.Helper()
	if err := os.Rename(from, to); err != nil {
		l.T.Fatal(err)
	}
}

func (l *lab) acknowledge(name string) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	if err := a.Acknowledge(name, time.Now()); err != nil {
		l.T.Fatal(err)
	}
}

// Guards: a run is measured against the last good snapshot, whatever snapshots came after it; an entry that was moved
// meanwhile is not gone; once a person has acknowledged a run, later runs are measured against its snapshot.
func TestBaselineIsTheLastGoodOne(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 30)+many("c", 90))
	away := filepath.Join(filepath.Dir(l.Src), "away")
	first := l.Judged("").Snapshot

	l.move(l.Src+"/c", away)
	l.move(l.Src+"/a", l.Src+"/b")
	rep := l.Judged(first, archive.MassDeletion)
	if c := rep.Baseline; c.Files != 120 || c.Deleted != 90 || c.Changed != 0 {
		t.Errorf("the first night: %+v", c)
	}
	rep = l.Judged(first, archive.MassDeletion) // every night
	if c := rep.Baseline; c.Deleted != 90 {
		t.Errorf("the second night: %+v", c)
	}
	l.move(away, l.Src+"/c")
	rep = l.Judged(first) // all is there again
	if c := rep.Baseline; c.Files != 120 || c.Gone()+c.Unread+c.Changed > 0 {
		t.Errorf("what was moved before: %+v", c)
	}
	l.move(l.Src+"/c", away)
	last := l.Judged(rep.Snapshot, archive.MassDeletion).Snapshot
	l.acknowledge(last)
	l.Judged(last)
	l.Intact()
	l.Verify()
}

// Guards: a snapshot that changed everything is no base line either: the next night is measured against the one before.
func TestBaselineAfterMassChange(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120))
	first := l.Judged("").Snapshot
	for i := range 120 {
		if err := os.WriteFile(fmt.Sprintf("%s/a/f%d", l.Src, i), []byte("encrypted"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.Judged(first, archive.MassChange)
	rep := l.Judged(first, archive.MassChange)
	if rep.Counts.Changed != 0 || rep.Baseline.Changed != 120 {
		t.Errorf("changed since the previous snapshot %d, since the base line %d", rep.Counts.Changed, rep.Baseline.Changed)
	}
}

// Guards: an entry that was saved before, and that a filter leaves out now, counts like an entry that is gone, and the
// filter is named; also when the last good snapshot is not the previous one, in a dry run, and where a single entry of
// the base line decides.
func TestLeftOutIsNotCovered(t *testing.T) {
	for name, c := range map[string]struct {
		build string
		set   func(*snapshot.Options)
		rule  string
		files uint64
		want  []archive.Tripwire
	}{
		"everything": {"", func(o *snapshot.Options) { o.Exclude = archivetest.Patterns(t, "*") }, "test:1: *", 125, []archive.Tripwire{archive.MassExclusion}},
		"a folder":   {"", func(o *snapshot.Options) { o.Exclude = archivetest.Patterns(t, "a/") }, "test:1: a/", 120, []archive.Tripwire{archive.MassExclusion}},
		"its files": {"", func(o *snapshot.Options) { o.Exclude = archivetest.Patterns(t, "f?", "f??", "f1??") }, "test:2: f??", 125,
			[]archive.Tripwire{archive.MassExclusion}},
		"marked": {"file a/.nobackup 0644", func(o *snapshot.Options) { o.ExcludeIfPresent = []string{".nobackup"} },
			"--exclude-if-present .nobackup", 120, []archive.Tripwire{archive.MassExclusion}},
		"cache": {"file a/CACHEDIR.TAG 0644 \"Signature: 8a477f597d28d172789f06886806bc55\"",
			func(o *snapshot.Options) { o.ExcludeCaches = true }, "--exclude-caches", 120, []archive.Tripwire{archive.MassExclusion}},
		"larger": {"", func(o *snapshot.Options) { o.ExcludeLarger = 3 }, "--exclude-larger-than 3", 110, []archive.Tripwire{archive.MassExclusion}},
		"few":    {"", func(o *snapshot.Options) { o.Exclude = archivetest.Patterns(t, "b") }, "test:1: b", 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := nightlyLab(t, many("a", 120)+many("b", 5))
			first := l.Judged("").Snapshot
			l.Build(c.build)
			c.set(&l.Opt)
			l.Opt.DryRun = true
			dry, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if err != nil {
				t.Fatal(err)
			}
			l.Opt.DryRun = false
			for _, rep := range []*archive.Report{dry, l.Judged(first, c.want...)} {
				b := rep.Baseline
				if b.LeftOut != c.files || b.Deleted != 0 || b.Unread != 0 || !slices.Equal(rep.Tripwires, c.want) ||
					!slices.ContainsFunc(b.Rules, func(r archive.RuleCount) bool { return r.Rule == c.rule }) {
					t.Errorf("dry run %v: %q: %+v", rep.DryRun, rep.Tripwires, b)
				}
			}
			if len(c.want) == 0 {
				return
			}
			if b := l.Judged(first, c.want...).Baseline; b.LeftOut != c.files { // and the next night
				t.Errorf("against a snapshot that is not the previous one: %+v", b)
			}
			l.Opt = snapshot.Options{}
			l.Nightly()
			l.Judged(first)
			l.Intact()
		})
	}
}

// Guards: what looked wrong is known, with its cause, even if the run died as soon as its snapshot was there.
func TestTripwireSurvivesDeath(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120))
	first := l.Judged("").Snapshot
	l.Opt.Exclude = archivetest.Patterns(t, "*")
	l.dies("run report")
	unacknowledged := func() {
		t.Helper()
		a := l.Open()
		defer l.Close(a)
		list, err := a.Unacknowledged()
		if err != nil || len(list) != 1 || !slices.Equal(list[0].Tripwires, []archive.Tripwire{archive.MassExclusion}) ||
			list[0].Coverage.LeftOut != 120 {
			t.Errorf("unacknowledged: %+v, %v", list, err)
		}
	}
	unacknowledged()
	l.Order = append(l.Order, "the one of the run that died")
	l.Opt.Exclude = nil
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil || rep.Baseline.Snapshot != first || len(rep.Tripwires) > 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	unacknowledged()
}

// Guards: a run with limits of its own is judged by them even if it died as soon as its snapshot was there.
func TestLimitsSurviveDeath(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120)+many("b", 20))
	l.Judged("")
	l.move(l.Src+"/a", filepath.Join(filepath.Dir(l.Src), "away"))
	l.Opt.Limits = &archive.Limits{MaxDeleted: 0.9, MaxChanged: 0.5, MinFiles: 100}
	l.dies("run report")
	l.Order = append(l.Order, "the one of the run that died")
	for range 2 { // before and after the next run, which puts the report into its place
		a := l.Open()
		list, err := a.Unacknowledged()
		if err != nil || len(list) > 0 {
			t.Errorf("unacknowledged: %+v, %v", list, err)
		}
		l.Close(a)
		if rep := l.Run(); len(rep.Tripwires) > 0 || rep.Baseline.Files != 20 || rep.Waiting != nil {
			t.Errorf("%+v", rep)
		}
	}
}

// Guards: in an archive of several sources each run is compared with what came before of its own source.
func TestSourcesApart(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120)+"dir b 0755\n"+many("b/sub", 120)+"dir a/empty 0755\n")
	top := l.Src
	source := func(path string) { l.Src = filepath.Join(top, path) }

	source("a")
	a := l.Judged("").Snapshot
	source("b")
	rep := l.Judged("")
	b := rep.Snapshot
	l.Counts(rep, "120 new")
	if rep.OtherSource != filepath.Join(top, "a") || rep.Contains != "" {
		t.Errorf("other source %q, contains %q", rep.OtherSource, rep.Contains)
	}
	source("a")
	rep = l.Judged(a)
	l.Counts(rep, "120 unchanged")
	if rep.Previous != a {
		t.Errorf("previous snapshot %s, want %s", rep.Previous, a)
	}
	source("b")
	l.Counts(l.Judged(b), "120 unchanged")

	source("a/empty") // nothing was ever saved there
	l.Judged("")

	source("b/sub") // a level too deep: all is there, under other names
	rep = l.Judged(l.Order[3], archive.SourceInside)
	if c := rep.Baseline; c.Files != 120 || c.LeftOut != 0 || c.Source != filepath.Join(top, "b") {
		t.Errorf("a part: %+v", c)
	}
	l.Counts(rep, "120 new")
	rep = l.Judged(l.Order[3], archive.SourceInside) // every night
	l.acknowledge(rep.Snapshot)
	l.Judged(rep.Snapshot)

	l.Src = top // a level too high
	if rep := l.Judged(""); rep.Contains == "" {
		t.Errorf("the sources below are not told of: %+v", rep)
	}
	l.Intact()
	l.Verify()
}

// Guards: the last good snapshot of a source is removed on purpose only; what looks wrong is no good one.
func TestRemoveLeavesAGoodOneOfEachSource(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120)+many("b", 5))
	top := l.Src
	l.Src = top + "/a"
	a := l.Judged("").Snapshot
	l.Opt.Exclude = archivetest.Patterns(t, "*")
	wrong := l.Judged(a, archive.MassExclusion).Snapshot
	l.Opt.Exclude = nil
	l.Src = top + "/b"
	l.Judged("")
	arch := l.Open()
	defer l.Close(arch)
	if _, err := arch.Remove(t.Context(), []string{a}, archive.RemoveOptions{}); err == nil || !strings.Contains(err.Error(),
		archive.ErrLastComplete.Error()+" of "+top+"/a") {
		t.Errorf("the last good one is removed: %v", err)
	}
	if _, err := arch.Remove(t.Context(), []string{wrong}, archive.RemoveOptions{}); err != nil {
		t.Errorf("what looks wrong: %v", err)
	}
}

// Guards: a run that looked wrong, and whose report is lost or damaged, looks wrong by what the catalogs tell, until it
// is acknowledged.
func TestLostReportLooksWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exclude string
		lose    func(path string) error
		want    archive.Tripwire
	}{
		"everything": {"*", os.Remove, archive.EmptySource},
		"most":       {"f[1-8]*", os.Remove, archive.MassDeletion},
		"garbage":    {"f[1-8]*", func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) }, archive.MassDeletion},
		"folder":     {"f[1-8]*", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, archive.MassDeletion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := nightlyLab(t, many("a", 110))
			first := l.Judged("").Snapshot
			l.Opt.Exclude = archivetest.Patterns(t, c.exclude)
			wrong := l.Judged(first, archive.MassExclusion)
			if err := c.lose(wrong.Path()); err != nil {
				t.Fatal(err)
			}
			a := l.Open()
			defer l.Close(a)
			list, err := a.Unacknowledged()
			if err != nil || len(list) != 1 || !slices.Equal(list[0].Tripwires, []archive.Tripwire{c.want}) {
				t.Fatalf("%+v, %v; want %s", list, err, c.want)
			}
			last := l.Judged(first, archive.MassExclusion).Snapshot
			l.acknowledge(last)
			if list, err := a.Unacknowledged(); err != nil || len(list) > 0 {
				t.Errorf("acknowledged: %+v, %v", list, err)
			}
			l.Judged(last)
		})
	}
}

// Guards: a run acknowledged while a clock was ahead does not acknowledge snapshots that are published later under
// earlier names.
func TestAcknowledgedAhead(t *testing.T) {
	t.Parallel()
	l := nightlyLab(t, many("a", 120))
	first := l.Judged("").Snapshot
	l.Opt.Exclude = archivetest.Patterns(t, "*")
	ahead := l.Judged(first, archive.MassExclusion)
	l.Opt.Exclude = nil
	a := l.Open()
	defer l.Close(a)
	if err := a.Acknowledge(ahead.Snapshot, ahead.Start.AddDate(-1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	standings, err := a.Standings()
	if err != nil || len(standings) != 2 {
		t.Fatalf("%+v, %v", standings, err)
	}
	if s := &standings[1]; !s.Accepted || len(s.Tripwires) > 0 {
		t.Errorf("it is not acknowledged: %+v", s)
	}
	later := standings[1].Summary
	later.Snapshot = standings[0].Summary.Snapshot
	if covered, err := a.Acknowledges(&later); err != nil || covered {
		t.Errorf("what came later is acknowledged, too: %v, %v", covered, err)
	}
}
