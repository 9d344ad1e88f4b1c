package main

import (
	"fmt"
	"strings"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
)

// print writes the status for people: a line for each fact, and then the damage by name.
func (s *archiveStatus) print(a *app) error {
	rows := [][]string{{"archive", fmt.Sprintf("%s: %s", name(s.Archive), counted(uint64(s.Snapshots), "snapshot", "snapshots"))}}
	if len(s.Sources) == 0 {
		rows = append(rows, []string{"latest", "there are no snapshots yet" + lateText(s.TooOld)})
	}
	for i := range s.Sources {
		rows = append(rows, s.sourceRows(a, &s.Sources[i])...)
	}
	if n := uint64(len(s.Waiting)); n > 0 {
		rows = append(rows, []string{"suspect", s.waitingText()})
	}
	if n := uint64(len(s.Unusable)); n > 0 {
		rows = append(rows, []string{"unusable", s.unusableText()})
	}
	rows = append(rows, s.verifiedRows(a)...)
	rows = append(rows, []string{"damage", s.damageText()})
	if s.Free != nil {
		rows = append(rows, []string{"free", s.freeText()})
	}
	return a.printf("%s%s", table(rows), damagedText(a, s.Archive, s.damage))
}

// sourceName is the source for people, with its host if there are several.
func (s *archiveStatus) sourceName(l *sourceStatus) string {
	for i := range s.Sources {
		if other := s.Sources[i].Host; l.Host != "" && other != "" && other != l.Host {
			return printable(l.Host) + ":" + name(l.Source)
		}
	}
	return name(l.Source)
}

func (s *archiveStatus) sourceRows(a *app, l *sourceStatus) (rows [][]string) {
	source := s.sourceName(l)
	if l.Time == nil {
		rows = append(rows, []string{"latest", fmt.Sprintf("no snapshot of %s", source) + lateText(l.TooOld)})
	} else {
		rows = append(rows, []string{"latest", fmt.Sprintf("%s of %s, %s (%s): %s%s", l.Snapshot, source, a.local(*l.Time),
			s.ageText(l), s.stateText(l), lateText(l.TooOld))})
	}
	if l.RunCount > 0 {
		rows = append(rows, []string{"since then", l.runsText(a, source)})
	}
	if u := l.Resumable; u != nil {
		rows = append(rows, []string{"unfinished", fmt.Sprintf("a run of %s, begun %s, has stored %s with %s: it is under way, or the next run "+
			"goes on from there", source, a.local(u.Began), counted(u.Files+u.Partial, "file", "files"), size(u.Bytes))})
	}
	return rows
}

func lateText(tooOld bool) string {
	if tooOld {
		return ". TOO OLD"
	}
	return ""
}

func (s *archiveStatus) ageText(l *sourceStatus) string {
	if l.InFuture {
		return "in the future: the clock is wrong, or was"
	}
	age := s.now.Sub(*l.Time)
	switch {
	case age < time.Second:
		return "just now"
	case age < 72*time.Hour:
		return duration(age) + " ago"
	}
	return counted(uint64(age.Hours()/24), "day", "days") + " ago"
}

// stateText is the state, with the number of failed entries, and the report that names them.
func (s *archiveStatus) stateText(l *sourceStatus) string {
	if l.Failed > 0 {
		return fmt.Sprintf("%s, %s failed; .snapcopy/%s/%s.json names them", l.State, count(l.Failed), archive.RunsDir, l.Snapshot)
	}
	return l.State
}

// runsText names the last run that published nothing.
func (l *sourceStatus) runsText(a *app, source string) string {
	last := l.Runs[len(l.Runs)-1]
	first, _, _ := strings.Cut(strings.TrimSpace(last.Error), "\n")
	text := fmt.Sprintf("%s of %s published nothing", counted(uint64(l.RunCount), "run", "runs"), source)
	if l.RunCount > 1 {
		text += "; the last one"
	}
	why := printable(first)
	if !strings.Contains(why, string(last.Outcome)) {
		why = string(last.Outcome) + ": " + why
	}
	return fmt.Sprintf("%s, %s: %s", text, a.local(last.Time), why)
}

func (s *archiveStatus) waitingText() string {
	n := uint64(len(s.Waiting))
	last := &s.Waiting[n-1]
	text := fmt.Sprintf("%s %s to be acknowledged; ", counted(n, "snapshot", "snapshots"), agree(n, "waits", "wait"))
	if n > 1 {
		text += "the last is "
	}
	return text + fmt.Sprintf("%s: %s", last.Snapshot, tripwireList(last.Tripwires))
}

func (s *archiveStatus) unusableText() string {
	var list []string
	for _, u := range s.Unusable {
		list = append(list, fmt.Sprintf("%s (%s)", u.Snapshot, stateText(&snapshotLine{State: u.State})))
	}
	const shown = 5
	if len(list) > shown {
		list = append(list[:shown], fmt.Sprintf("and %d more", len(list)-shown))
	}
	return strings.Join(list, ", ")
}

// verifiedRows tell since when content was not read back.
func (s *archiveStatus) verifiedRows(a *app) (rows [][]string) {
	switch {
	case s.dates == nil || s.Oldest == nil:
		return nil
	case s.Dates == nil:
		return [][]string{{"verified", fmt.Sprintf("nothing was ever read back; the oldest content is of %s%s", a.local(*s.Oldest), ago(s.now.Sub(*s.Oldest)))}}
	}
	title := "verified"
	for line := range strings.Lines(datesText(a, s.dates, &verified.Note{Damaged: s.damage})) {
		rows, title = append(rows, []string{title, strings.TrimSuffix(line, "\n")}), ""
	}
	if n := uint64(s.Unchecked); n > 0 {
		rows = append(rows, []string{title, fmt.Sprintf("Not counted: what %s since the last check added.", counted(n, "snapshot", "snapshots"))})
	}
	return rows
}

func (s *archiveStatus) damageText() string {
	if s.DamageKnown == 0 {
		return "none known"
	}
	return counted(s.DamageKnown, "stored file or entry", "stored files and entries") + ", see below"
}

func (s *archiveStatus) freeText() string {
	text := fmt.Sprintf("%s of %s", size(*s.Free), size(*s.Total))
	if s.TotalInodes > 0 {
		text += fmt.Sprintf(", %s of %s inodes", count(s.FreeInodes), count(s.TotalInodes))
	}
	if s.ReadOnly {
		text += "; the file system is mounted read-only"
	}
	return text
}
