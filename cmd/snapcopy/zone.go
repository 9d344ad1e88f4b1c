package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // zones by name on machines without a time zone database

	"snapcopy/internal/plainfile"
)

// zoneVariable names the time zone, as POSIX has it.
const zoneVariable = "TZ"

// systemZone is the file with the zone of the machine, for an unset TZ.
const systemZone = "/etc/localtime"

// errNoZone reports an unknown time zone.
var errNoZone = errors.New("there is no such time zone")

// localZone returns the time zone of the user: that of TZ, or that of the machine. The time package alone would
// silently use UTC for each zone that it cannot read, among them all in POSIX form. With an error the zone is UTC.
func localZone() (*time.Location, error) {
	text, ok := os.LookupEnv(zoneVariable)
	if !ok {
		return machineZone(systemZone)
	}
	loc, err := parseZone(strings.TrimPrefix(text, ":"))
	if err != nil {
		return time.UTC, fmt.Errorf("%s=%s: %w", zoneVariable, name(text), err)
	}
	return loc, nil
}

// machineZone reads the zone of the machine from a file. A machine without that file has UTC. If the file is a link to
// one of the time zone database, which a small system may lack, the name in the link is enough.
func machineZone(path string) (*time.Location, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		loc, err := time.LoadLocationFromTZData("Local", data)
		if err != nil {
			return time.UTC, fmt.Errorf("%s: %w", path, err)
		}
		return loc, nil
	}
	link, linkErr := os.Readlink(path)
	if _, zone, ok := strings.Cut(filepath.ToSlash(link), "zoneinfo/"); ok && linkErr == nil {
		if loc, err := time.LoadLocation(zone); err == nil {
			return loc, nil
		}
	}
	if _, statErr := os.Lstat(path); errors.Is(statErr, os.ErrNotExist) {
		return time.UTC, nil
	}
	return time.UTC, err
}

// parseZone reads the value of TZ without its leading colon: "" for UTC, the absolute path of a zone file, a name
// (Europe/Vienna), or a rule in POSIX form (EST5EDT,M3.2.0,M11.1.0).
func parseZone(text string) (*time.Location, error) {
	if text == "" {
		return time.UTC, nil
	}
	if filepath.IsAbs(text) {
		if info, err := os.Stat(text); err == nil && !info.Mode().IsRegular() { // a FIFO would be waited for
			return nil, fmt.Errorf("it is %s, not a file", plainfile.KindOf(info.Mode()))
		}
		data, err := os.ReadFile(text)
		if err != nil {
			return nil, err
		}
		loc, err := time.LoadLocationFromTZData(text, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		return loc, nil
	}
	if loc, err := time.LoadLocation(text); err == nil {
		return loc, nil
	}
	if loc, ok := ruleZone(text); ok {
		return loc, nil
	}
	return nil, errNoZone
}

// unread is an abbreviation that no zone has.
const unread = "?"

// ruleZone reads a zone in POSIX form. The time package knows that form only as the end of a zone file, so ruleZone
// makes a zone file with nothing else.
func ruleZone(rule string) (*time.Location, bool) {
	if strings.ContainsAny(rule, "\n\x00") {
		return nil, false
	}
	loc, err := time.LoadLocationFromTZData(rule, zoneFile(rule))
	if err != nil {
		return nil, false
	}
	abbreviation, _ := time.Unix(0, 0).In(loc).Zone()
	return loc, abbreviation != unread
}

// zoneFile makes a zone file (RFC 9636, section 3) without transitions, so that the rule at its end is always in
// force. A file must also have a zone of its own, which is unread: times are in that zone if the rule cannot be read.
func zoneFile(rule string) []byte {
	header := func(types, chars byte) string {
		return "TZif2" + strings.Repeat("\x00", 15) + // reserved
			strings.Repeat("\x00", 4*4) + // numbers of UT indicators, standard indicators, leap seconds, transitions
			"\x00\x00\x00" + string([]byte{types}) + "\x00\x00\x00" + string([]byte{chars})
	}
	offsetSummerIndex := strings.Repeat("\x00", 4+1+1)
	return []byte(header(0, 0) + header(1, byte(len(unread)+1)) + offsetSummerIndex + unread + "\x00\n" + rule + "\n")
}
