package archive

import (
	"errors"
	"testing"
	"time"
)

func snapshotsNamed(t *testing.T, names ...string) (list []Snapshot) {
	t.Helper()
	for _, n := range names {
		at, ok := ParseName(n)
		if !ok {
			t.Fatalf("%q is no name of a snapshot", n)
		}
		list = append(list, Snapshot{Name: n, Time: at})
	}
	return list
}

// Guards: what a person types finds the snapshot that is meant, dates being those of the clock on the wall.
func TestSelect(t *testing.T) {
	list := snapshotsNamed(t, "2025-12-31T233000Z", "2026-03-29T003000Z", "2026-11-19T230000Z", "2026-11-20T170059Z",
		"2026-11-20T170100Z", "2026-11-22T020000Z")
	berlin := time.FixedZone("one hour east", 3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		selector string
		want     string // "": none
		loc      *time.Location
	}{
		{"latest", "2026-11-22T020000Z", time.UTC},
		{"latest~0", "2026-11-22T020000Z", time.UTC},
		{"latest~2", "2026-11-20T170059Z", time.UTC},
		{"latest~5", "2025-12-31T233000Z", time.UTC},
		{"latest~6", "", time.UTC},
		{"latest~", "", time.UTC},
		{"latest~-1", "", time.UTC},
		{"latest2", "", time.UTC},
		{"2026-11-20T170059Z", "2026-11-20T170059Z", time.UTC},
		{"2026-11-20", "2026-11-20T170100Z", time.UTC},
		{"2026-11-19", "2026-11-19T230000Z", time.UTC},
		{"2026-11-19", "2026-03-29T003000Z", berlin}, // 23:00 UTC is the 20th there
		{"2026-11-18", "2026-03-29T003000Z", time.UTC},
		{"2025-12-31", "2025-12-31T233000Z", time.UTC},
		{"2025-12-31", "2025-12-31T233000Z", berlin}, // the beginning of a name, as nothing is as old there
		{"2025-12-30", "", berlin},
		{"2026-11-20 17:00", "2026-11-20T170059Z", time.UTC},
		{"2026-11-20T17:00", "2026-11-20T170059Z", time.UTC},
		{"2026-11-20 18:00", "2026-11-20T170059Z", berlin},
		{"2026-11-20 17:00:59", "2026-11-20T170059Z", time.UTC},
		{"2026-11-20 17:00:58", "2026-11-19T230000Z", time.UTC},
		{"2026-11-20T18:01:00+01:00", "2026-11-20T170100Z", time.UTC},
		{"2026-11-20T17:01:00Z", "2026-11-20T170100Z", berlin},
		{"1d", "2026-11-22T020000Z", time.UTC},
		{"2d", "2026-11-20T170100Z", time.UTC},
		{"34h", "2026-11-22T020000Z", time.UTC},
		{"35h", "2026-11-20T170100Z", time.UTC},
		{"10min", "2026-11-22T020000Z", time.UTC},
		{"1w", "2026-03-29T003000Z", time.UTC},
		{"7mo", "2026-03-29T003000Z", time.UTC},
		{"9mo", "2025-12-31T233000Z", time.UTC},
		{"1y", "", time.UTC},
		{"0d", "2026-11-22T020000Z", time.UTC},
		{"2026-03", "2026-03-29T003000Z", time.UTC},
		{"2025", "2025-12-31T233000Z", time.UTC},
		{"2026-11-2", "", time.UTC}, // three begin so
		{"2026-11-20T1701", "2026-11-20T170100Z", time.UTC},
		{"", "", time.UTC},
		{"yesterday", "", time.UTC},
		{"3x", "", time.UTC},
	} {
		got, err := selectFrom(list, c.selector, now, c.loc)
		if got.Name != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%q in %v: %q, %v; want %q", c.selector, c.loc, got.Name, err, c.want)
		}
	}
	if _, err := selectFrom(nil, "latest", now, time.UTC); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("empty archive: %v", err)
	}
}

// Guards: a date that could mean two snapshots, one by the clock on the wall and one by its name, removes neither.
func TestSelectOnly(t *testing.T) {
	west := time.FixedZone("five hours west", -5*3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		selector string
		names    []string
		want     string // "": none
	}{
		{"2026-11-20", []string{"2026-11-20T020000Z"}, "2026-11-20T020000Z"},
		{"2026-11-19", []string{"2026-11-20T020000Z"}, "2026-11-20T020000Z"},
		{"2026-11-20", []string{"2026-11-20T120000Z"}, "2026-11-20T120000Z"},
		{"2026-11-20", []string{"2026-11-20T020000Z", "2026-11-21T020000Z"}, ""},
		{"2026-11-20", []string{"2026-11-19T020000Z", "2026-11-21T020000Z"}, "2026-11-21T020000Z"},
		{"2026-11-20", []string{"2026-11-19T020000Z"}, ""},
		{"2026-11-20 21:00", []string{"2026-11-21T020000Z"}, "2026-11-21T020000Z"},
	} {
		got, err := selectOnly(snapshotsNamed(t, c.names...), c.selector, now, west)
		if got.Name != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%q of %q: %q, %v; want %q", c.selector, c.names, got.Name, err, c.want)
		}
	}
}

// Guards: only what this program would write is the name of a snapshot.
func TestParseName(t *testing.T) {
	for _, name := range []string{"2026-11-23T020000Z", "0001-01-01T000000Z", "9999-12-31T235959Z"} {
		if at, ok := ParseName(name); !ok || at.Format(nameLayout) != name {
			t.Errorf("%q: %v, %v", name, at, ok)
		}
	}
	for _, name := range []string{"", "latest", "2026-11-23", "2026-11-23T020000", "2026-11-23T02:00:00Z", "2026-02-30T000000Z",
		"2026-11-23T020000.5Z", "2026-11-23T250000Z", "x2026-11-23T020000Z", "2026-11-23T020000Zx", "lost+found"} {
		if _, ok := ParseName(name); ok {
			t.Errorf("%q is taken for a snapshot", name)
		}
	}
}

// Guards: a lock is held by one only, also within one process, and is free again when given back.
func TestLock(t *testing.T) {
	a, err := Create(t.TempDir()+"/archive", time.Now())
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		t.Skipf("no archive here: %v", err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		lock, err := a.Lock()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Lock(); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v", err)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
	}
}
