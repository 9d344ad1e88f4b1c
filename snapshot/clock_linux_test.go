package snapshot_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/snapshot"
)

// at makes the lab's clock stand at a time.
func (l *lab) clock(t time.Time) { l.Opt.Now = func() time.Time { return t } }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// recovers makes up for what was cut short in an archive, as whoever takes its lock does.
func recovers(t *testing.T, a *archive.Archive) (did []string, err error) {
	t.Helper()
	lock, err := a.Lock()
	if err != nil {
		return nil, err
	}
	did, err = lock.Recover(t.Context())
	return did, errors.Join(err, lock.Unlock())
}

// Guards: a name is the second in which the run began, or the next free one; runs in quick succession have names that sort,
// and a snapshot from the future changes nothing for those that follow it.
func TestNames(t *testing.T) {
	future := noon.AddDate(4, 0, 0)
	for _, c := range []struct {
		name string
		runs []time.Duration // after noon
		want []string
	}{
		{"one after the other", []time.Duration{0, time.Hour}, []string{"120000", "130000"}},
		{"in one second", []time.Duration{0, 0, 999 * time.Millisecond, 1500 * time.Millisecond},
			[]string{"120000", "120001", "120002", "120003"}},
		{"a clock that is corrected", []time.Duration{0, -time.Minute, time.Second}, []string{"120000", "120001", "120002"}},
		{"one from the future", []time.Duration{0, future.Sub(noon), time.Hour, time.Hour, 2 * time.Hour},
			[]string{"120000", "2030", "130000", "130001", "140000"}},
		{"the first from the future", []time.Duration{future.Sub(noon), 0, time.Second}, []string{"2030", "120000", "120001"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			previous := ""
			for i, after := range c.runs {
				l.clock(noon.Add(after))
				rep := l.Run()
				want := "2026-11-23T" + c.want[i] + "Z"
				if c.want[i] == "2030" {
					want = archive.NameAt(future)
				}
				if rep.Snapshot != want || rep.Previous != previous {
					t.Errorf("run %d: %s after %q, want %s after %q", i, rep.Snapshot, rep.Previous, want, previous)
				}
				wrong := slices.Contains(l.Order[:i], archive.NameAt(future)) && c.want[i] != "2030"
				if wrong != (len(rep.InFuture) == 1) {
					t.Errorf("run %d: from the future: %q", i, rep.InFuture)
				}
				l.LatestIs(rep.Snapshot)
				previous = rep.Snapshot
				a := l.Open()
				a.Now = l.Opt.Now
				if did, err := recovers(t, a); err != nil || len(did) > 0 {
					t.Errorf("recover: %q, %v", did, err)
				}
				s, err := a.Select("latest", l.Opt.Now(), time.UTC)
				l.Close(a)
				if err != nil || s.Name != rep.Snapshot {
					t.Errorf("run %d: the latest is %s, %v", i, s.Name, err)
				}
				l.LatestIs(rep.Snapshot)
			}
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: a clock that is behind all snapshots is refused unless that is wanted; then the run has its own time.
func TestClockBehind(t *testing.T) {
	l := newLab(t)
	for _, day := range []int{1, 2} {
		l.clock(noon.AddDate(0, 0, day))
		l.Run()
	}
	l.clock(noon)
	l.Fails(snapshot.ErrClock)
	l.Opt.AllowClockBack = true
	if rep := l.Run(); rep.Snapshot != archive.NameAt(noon) {
		t.Errorf("filed under %s", rep.Snapshot)
	}
	l.Intact()
	l.Verify()
}

// Guards: a run that waits for a second of its own never has a name in the future.
func TestWaitsForItsSecond(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.Parallel = true
	l.Opt.Wait = true
	for range 3 {
		rep := l.Run()
		name, _ := archive.ParseName(rep.Snapshot)
		if now := time.Now(); name.After(now) || !name.Equal(rep.Start.Truncate(time.Second)) {
			t.Errorf("%s, begun at %v, now it is %v", rep.Snapshot, rep.Start, now)
		}
	}
	if !slices.IsSorted(l.Order) || len(slices.Compact(slices.Clone(l.Order))) != 3 {
		t.Errorf("names: %q", l.Order)
	}
}

// Guards: where there is a snapshot from the future, a run that was cut short is made up for like any other.
func TestCutShortBesideFuture(t *testing.T) {
	for _, step := range []string{"publish", "run report", archive.LatestLink} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			l.Build("file f 0644 x")
			for _, at := range []time.Time{noon, noon.AddDate(4, 0, 0), noon.Add(time.Hour)} {
				l.clock(at)
				l.Run()
			}
			l.clock(noon.Add(2 * time.Hour))
			l.Opt.Fault = func(s string) error {
				if s == step {
					return fault.ErrCrash
				}
				return nil
			}
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			want := l.Order[2]
			if step == "publish" {
				if !errors.Is(err, fault.ErrCrash) {
					t.Fatal(err)
				}
			} else {
				l.Note(rep)
				want = rep.Snapshot
			}
			a := l.Open()
			a.Now = func() time.Time { return noon.Add(3 * time.Hour) }
			_, err = recovers(t, a)
			l.Close(a)
			if err != nil {
				t.Fatal(err)
			}
			l.LatestIs(want)
			if step == "publish" {
				l.OnlyUnfinished()
			} else {
				l.NothingLeft()
			}
			l.Intact()
			l.Verify()
		})
	}
}
