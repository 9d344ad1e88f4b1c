package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Guards: a pin is there until it is taken away or its snapshot is gone; damage to it unpins nothing.
func TestPins(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 0, 0, 5, time.UTC)
	a, err := Create(filepath.Join(t.TempDir(), "archive"), now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := func(pins map[string]string) {
		t.Helper()
		got, err := a.Pins()
		if err != nil || len(got) != len(pins) {
			t.Fatalf("%v, %v; want %v", got, err, pins)
		}
		for name, label := range pins {
			if p, ok := got[name]; !ok || p.Snapshot != name || p.Label != label {
				t.Errorf("%s: %+v, want %q", name, p, label)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const one, two, none = "2026-11-20T020000Z", "2026-11-21T020000Z", "2026-11-22T020000Z"
	for _, name := range []string{one, two} {
		must(os.Mkdir(filepath.Join(a.Path, name), 0o700))
	}

	want(nil)
	if was, err := a.Unpin(one); was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	must(a.Pin(one, "", now))
	must(a.Pin(two, "before the upgrade", now))
	want(map[string]string{one: "", two: "before the upgrade"})
	if p, err := a.Pins(); !p[one].Since.Equal(now.Truncate(time.Second)) {
		t.Errorf("%v, %v", p, err)
	}
	must(a.Pin(one, "another label", now))
	want(map[string]string{one: "another label", two: "before the upgrade"})
	for _, name := range []string{none, "", "latest", "../x", MetaDir} {
		if err := a.Pin(name, "", now); !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%q: %v", name, err)
		}
	}

	must(os.WriteFile(a.pins.path(two), []byte("{"), 0o600))
	must(os.WriteFile(a.Meta.Path(pinsDir, "."+one+".json.1.tmp"), nil, 0o600)) // left by a crash
	want(map[string]string{one: "another label", two: ""})

	must(os.Remove(filepath.Join(a.Path, two)))
	want(map[string]string{one: "another label"})
	if _, err := os.Lstat(a.pins.path(two)); err != nil {
		t.Error(err)
	}
	if was, err := a.Unpin(one); !was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	want(nil)
	if _, err := os.Lstat(a.pins.path(two)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pin of a snapshot that is gone: %v", err)
	}

	lock, err := a.Lock()
	must(err)
	if err := a.Pin(one, "", now); !errors.Is(err, ErrLocked) {
		t.Errorf("locked: %v", err)
	}
	if _, err := a.Unpin(one); !errors.Is(err, ErrLocked) {
		t.Errorf("locked: %v", err)
	}
	must(lock.Unlock())
}
