package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The names of two moments in a zone: in winter and in summer.
func inZone(loc *time.Location) string {
	const layout = "15:04 MST"
	winter := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	summer := time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)
	return winter.In(loc).Format(layout) + ", " + summer.In(loc).Format(layout)
}

// Guards: each form of TZ that POSIX and the C library know is followed, and one that nobody can read is told.
func TestLocalZone(t *testing.T) {
	dir := t.TempDir()
	vienna, ok := time.LoadLocation("Europe/Vienna")
	if ok != nil {
		t.Fatal(ok)
	}
	file := filepath.Join(dir, "zone")
	if err := os.WriteFile(file, zoneFile("CET-1CEST,M3.5.0,M10.5.0/3"), 0o600); err != nil {
		t.Fatal(err)
	}
	const utc, east = "12:00 UTC, 12:00 UTC", "07:00 EST, 08:00 EDT"
	for _, c := range []struct{ tz, want string }{
		{"", utc},
		{"UTC", utc},
		{":", utc},
		{"Europe/Vienna", inZone(vienna)},
		{":Europe/Vienna", inZone(vienna)},
		{file, inZone(vienna)},
		{":" + file, inZone(vienna)},
		{"EST5EDT", east},
		{"EST5EDT,M3.2.0,M11.1.0", east},
		{":EST5EDT,M3.2.0,M11.1.0", east},
		{"EST+5EDT", east},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "13:00 CET, 14:00 CEST"},
		{"AEST-10AEDT,M10.1.0,M4.1.0/3", "23:00 AEDT, 22:00 AEST"},
		{"<+0330>-3:30", "15:30 +0330, 15:30 +0330"},
		{"UTC0", utc},
		{"JST-9", "21:00 JST, 21:00 JST"},
		{"ABC1:2:3", "10:57 ABC, 10:57 ABC"},
	} {
		t.Setenv(zoneVariable, c.tz)
		if loc, err := localZone(); err != nil || inZone(loc) != c.want {
			t.Errorf("TZ=%s: %s, %v, want %s", c.tz, inZone(loc), err, c.want)
		}
	}
	for _, tz := range []string{"Mars/Olympus", "EST5EDT,nonsense", "EST", "E5", "../../etc/passwd", dir, dir + "/none",
		"/dev/null", "EST5EDT,M3.2.0", "UTC0\nUTC0", "\xff", "5"} {
		if tz == "EST" { // a name in the time zone database
			continue
		}
		t.Setenv(zoneVariable, tz)
		if loc, err := localZone(); err == nil || loc != time.UTC {
			t.Errorf("TZ=%q: %s, %v, want an error and UTC", tz, inZone(loc), err)
		}
	}
	t.Setenv(zoneVariable, "Mars/Olympus")
	if _, err := localZone(); !errors.Is(err, errNoZone) || err.Error() != "TZ=Mars/Olympus: there is no such time zone" {
		t.Error(err)
	}
}

// Guards: a machine without the time zone database has the zone that its link names; one without any zone has UTC; a file
// that is no zone is told.
func TestMachineZone(t *testing.T) {
	dir := t.TempDir()
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "localtime")
	if loc, err := machineZone(path); err != nil || loc != time.UTC {
		t.Errorf("no file: %v, %v", loc, err)
	}
	if err := os.Symlink("/no/such/usr/share/zoneinfo/Europe/Vienna", path); err != nil {
		t.Fatal(err)
	}
	if loc, err := machineZone(path); err != nil || inZone(loc) != inZone(vienna) {
		t.Errorf("link without its target: %v, %v", loc, err)
	}
	for _, content := range []string{"", "garbage"} {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
		if loc, err := machineZone(path); err == nil || loc != time.UTC {
			t.Errorf("%q: %v, %v", content, loc, err)
		}
	}
	if err := errors.Join(os.Remove(path), os.Symlink("nowhere", path)); err != nil {
		t.Fatal(err)
	}
	if loc, err := machineZone(path); err == nil || loc != time.UTC {
		t.Errorf("link to nowhere: %v, %v", loc, err)
	}
}

func FuzzParseZone(f *testing.F) {
	for _, s := range []string{"EST5EDT,M3.2.0,M11.1.0", "<+03>-3", "CET-1CEST,J1,365/25", "Europe/Vienna", "", "UTC0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if filepath.IsAbs(text) { // a file of this machine
			return
		}
		if loc, err := parseZone(text); err == nil {
			_ = inZone(loc) + time.Unix(1<<40, 0).In(loc).String()
		}
	})
}
