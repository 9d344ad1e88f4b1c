package archive_test

import (
	"errors"
	"slices"
	"testing"

	"snapcopy/internal/archive"
)

var errRefused = errors.New("refused")

// Guards: no snapshot goes before the caller has agreed to the list of those that would.
func TestRemoveSelectedAsks(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 f")
	l.Run()
	l.Run()
	a := l.Open()
	defer l.Close(a)
	oldest := l.Order[0]
	var steps []string
	selection := archive.Selection{Selectors: []string{oldest}, Removing: func() { steps = append(steps, "removing") }}
	selection.Confirm = func(would *archive.RemoveReport) error {
		if !would.DryRun || len(would.Removed) != 1 || would.Removed[0].Name != oldest {
			t.Errorf("asked about %+v", would)
		}
		return errRefused
	}
	if report, err := a.RemoveSelected(t.Context(), selection, archive.RemoveOptions{}); report != nil || !errors.Is(err, errRefused) {
		t.Fatalf("%+v, %v", report, err)
	}
	if list, err := a.Snapshots(); err != nil || len(list) != 2 || steps != nil {
		t.Fatalf("refused, but %d snapshots are left: %v, %q", len(list), err, steps)
	}
	selection.Confirm = func(*archive.RemoveReport) error { steps = append(steps, "asked"); return nil }
	report, err := a.RemoveSelected(t.Context(), selection, archive.RemoveOptions{})
	if err != nil || len(report.Removed) != 1 || !slices.Equal(steps, []string{"asked", "removing"}) {
		t.Fatalf("%+v, %v, %q", report, err, steps)
	}
}

// Guards: no path is forgotten before the caller has agreed; of several meanings of a path, the first that is in a
// snapshot is forgotten.
func TestForgetMeantAsks(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 f\nfile g 0644 f")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	held := func() bool {
		_, err := a.ForgetPath(t.Context(), "f", archive.ForgetOptions{DryRun: true})
		return err == nil
	}
	var elsewhere []string
	opt := archive.ForgetOptions{Elsewhere: func(e archive.Elsewhere) error {
		elsewhere = append(elsewhere, e.Path)
		return nil
	}}
	meaning := archive.Meaning{Paths: func(source string) ([]string, error) { return []string{"nothing", "f"}, nil }}
	meaning.Confirm = func(would *archive.ForgetReport) error {
		if would.Path != "f" || !would.DryRun || len(would.Forgotten) != 1 {
			t.Errorf("asked about %+v", would)
		}
		return errRefused
	}
	if report, err := a.ForgetMeant(t.Context(), meaning, opt); report != nil || !errors.Is(err, errRefused) || !held() {
		t.Fatalf("%+v, %v, %v", report, err, held())
	}
	meaning.Confirm = func(*archive.ForgetReport) error { return nil }
	report, err := a.ForgetMeant(t.Context(), meaning, opt)
	if err != nil || report.DryRun || len(report.Forgotten) != 1 || held() || !slices.Equal(elsewhere, []string{"g", "g"}) {
		t.Fatalf("%+v, %v, %v, %q", report, err, held(), elsewhere)
	}
	if _, err := a.ForgetMeant(t.Context(), meaning, opt); !errors.Is(err, archive.ErrInNoSnapshot) {
		t.Fatalf("forgotten twice: %v", err)
	}
}
