package prune_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/prune"
	"snapcopy/snapshot"
)

// history takes a snapshot of each of some states of a source, one a day: each is the number of its files.
func history(t *testing.T, states ...int) *archive.Archive {
	t.Helper()
	source, path := t.TempDir(), filepath.Join(t.TempDir(), "archive")
	for day, files := range states {
		for i := range max(files, 1) {
			name := filepath.Join(source, string(rune('a'+i)))
			err := os.WriteFile(name, []byte{byte(i)}, 0o600)
			if files == 0 {
				err = os.RemoveAll(name)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		now := func() time.Time { return start.AddDate(0, 0, day) }
		if _, err := snapshot.Run(context.Background(), source, path, snapshot.Options{Now: now}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

var start = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

func names(t *testing.T, a *archive.Archive) (list []string) {
	t.Helper()
	snapshots, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range snapshots {
		list = append(list, s.Name[:10])
	}
	return list
}

func options() prune.Options {
	return prune.Options{Remove: archive.RemoveOptions{Now: func() time.Time { return start.AddDate(0, 0, 9) }}}
}

// Guards: the plan is told before anything goes, what it removes goes, and a dry run leaves everything.
func TestRun(t *testing.T) {
	a := history(t, 2, 3, 4)
	opt := options()
	opt.DryRun = true
	out, err := prune.Run(context.Background(), a, prune.Policy{Last: 1}, opt)
	if err != nil || len(out.Plan.Removed()) != 2 || out.Removal != nil || len(names(t, a)) != 3 {
		t.Fatalf("dry run: %+v, %v", out, err)
	}
	opt.DryRun = false
	refused := errors.New("refused")
	opt.Planned = func(f *prune.Facts, p *prune.Plan) error { return refused }
	if _, err := prune.Run(context.Background(), a, prune.Policy{Last: 1}, opt); err != refused || len(names(t, a)) != 3 {
		t.Fatalf("after the plan was refused: %v, %v", names(t, a), err)
	}
	opt.Planned = nil
	out, err = prune.Run(context.Background(), a, prune.Policy{Last: 1}, opt)
	if got := names(t, a); err != nil || !slices.Equal(got, []string{"2026-11-22"}) || len(out.Removal.Removed) != 2 || out.Removal.Freed == nil {
		t.Errorf("%v: %+v, %v", got, out.Removal, err)
	}
}

// Guards: nothing is removed while a run looks wrong, whether that is known before the plan or only when it is carried out;
// a dry run makes the plan all the same.
func TestRunFrozen(t *testing.T) {
	a := history(t, 1, 1, 0)
	var frozen *prune.FrozenError
	out, err := prune.Run(context.Background(), a, prune.Policy{Last: 1}, options())
	if !errors.As(err, &frozen) || out.Plan != nil || len(out.Facts.Tripped) != 1 || len(names(t, a)) != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	opt := options()
	opt.DryRun = true
	if out, err = prune.Run(context.Background(), a, prune.Policy{Last: 1}, opt); !errors.As(err, &frozen) || out.Plan == nil {
		t.Errorf("dry run: %+v, %v", out, err)
	}
	if err := a.Acknowledge(out.Facts.Tripped[0].Snapshot, start.AddDate(0, 0, 8)); err != nil {
		t.Fatal(err)
	}
	opt = options()
	opt.Planned = func(*prune.Facts, *prune.Plan) error { // as if the run that looks wrong had ended just now
		return os.Remove(a.Meta.Path("acknowledged.json"))
	}
	out, err = prune.Run(context.Background(), a, prune.Policy{Last: 1}, opt)
	if !errors.As(err, &frozen) || len(out.Facts.Tripped) != 0 || len(names(t, a)) != 3 {
		t.Errorf("meanwhile: %+v, %v", out, err)
	}
}

// Guards: what cannot be known of a snapshot keeps it, and is told as such.
func TestRunKeepsTheUnknown(t *testing.T) {
	a := history(t, 1, 2, 3)
	snapshots, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(snapshots[0].CatalogPath, 100); err != nil {
		t.Fatal(err)
	}
	out, err := prune.Run(context.Background(), a, prune.Policy{Last: 1}, options())
	if got := names(t, a); err != nil || !slices.Equal(got, []string{"2026-11-20", "2026-11-22"}) {
		t.Errorf("%v, %v", got, err)
	}
	d := out.Plan.Decisions[0]
	if !out.Facts.Damaged() || out.Facts.NoRoom == nil || len(d.Reasons) != 1 || d.Reasons[0].Kind != prune.Unusable {
		t.Errorf("%+v, %+v", out.Facts, d)
	}
	if _, err := prune.Run(context.Background(), a, prune.Policy{Last: 1, MaxSize: 1}, options()); !errors.Is(err, index.ErrDamaged) {
		t.Errorf("thinned out without figures: %v", err)
	}
}

// Guards: an interrupted removal is finished before anything is planned, whether snapshots are to be removed or not; a dry
// run says that there is one, and leaves it.
func TestRunFinishesAnInterruptedRemoval(t *testing.T) {
	a := history(t, 1, 2, 3)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opt := archive.RemoveOptions{Fault: func(step string) error {
		if step == "empty" {
			cancel()
		}
		return nil
	}}
	if _, err := a.Remove(ctx, []string{list[0].Name}, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	policy := prune.Policy{Last: 2}
	out, err := prune.Run(context.Background(), a, policy, prune.Options{DryRun: true})
	if err != nil || !out.Facts.Unfinished {
		t.Fatalf("%+v, %v", out.Facts, err)
	}
	var events []string
	_, err = prune.Run(context.Background(), a, policy, prune.Options{
		Earlier: archive.Earlier{
			Finishing: func(*archive.Progress) { events = append(events, "finishing") },
			Finished: func(done *archive.FinishReport) {
				if done.Unlinked == 0 {
					t.Errorf("%+v", done)
				}
				events = append(events, "finished")
			},
		},
		Planned: func(f *prune.Facts, p *prune.Plan) error {
			events = append(events, "planned")
			if len(p.Removed()) > 0 || len(p.Decisions) != 2 || f.Unfinished {
				t.Errorf("%+v, %+v", p, f)
			}
			return nil
		}})
	if want := []string{"finishing", "finished", "planned"}; err != nil || !slices.Equal(events, want) {
		t.Fatalf("%q, %v", events, err)
	}
	if unfinished, err := a.Unfinished(); unfinished || err != nil {
		t.Fatal(unfinished, err)
	}
}
