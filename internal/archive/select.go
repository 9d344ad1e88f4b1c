package archive

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"snapcopy/internal/calendar"
)

// Select finds the snapshot that a person means: a name, "latest", "latest~2" (two before it), an age ("3d": the last
// one at or before that long ago), a date or a time in loc ("2026-11-20", "2026-11-20 18:00": the last one at or
// before the end of that day, minute or second), or the beginning of a name that only one snapshot has. If all
// snapshots are later than a date, the date counts as the beginning of a name. Select fails with ErrNoSnapshot.
func (a *Archive) Select(selector string, now time.Time, loc *time.Location) (Snapshot, error) {
	list, err := a.Snapshots()
	if err != nil {
		return Snapshot{}, err
	}
	s, err := selectFrom(a.latest.until(list, selector, now), selector, now, loc)
	if s.Name == selector {
		return s, err
	}
	if _, why, lostErr := a.lost(selector); why != nil || lostErr != nil {
		return Snapshot{}, errors.Join(lostErr, fmt.Errorf("%w: %s: %w", ErrNoSnapshot, selector, why))
	}
	return s, err
}

// until drops snapshots from the future after "latest" if the selector is "latest", or counts back from it.
func (l latestLink) until(list []Snapshot, selector string, now time.Time) []Snapshot {
	if _, ok := latestBack(selector); ok {
		return list[:l.newest(list, now)+1]
	}
	return list
}

func selectFrom(list []Snapshot, selector string, now time.Time, loc *time.Location) (Snapshot, error) {
	if len(list) == 0 {
		return Snapshot{}, fmt.Errorf("%w: the archive has none yet", ErrNoSnapshot)
	}
	for _, s := range list {
		if s.Name == selector {
			return s, nil
		}
	}
	if back, ok := latestBack(selector); ok {
		if back >= len(list) {
			return Snapshot{}, fmt.Errorf("%w: %q: the archive has %d", ErrNoSnapshot, selector, len(list))
		}
		return list[len(list)-1-back], nil
	}
	until, ok := timeMeant(selector, now, loc)
	if !ok {
		return byPrefix(list, selector)
	}
	s, err := lastUntil(list, selector, until)
	if err != nil { // names are in UTC: the date at their beginning may differ from that in loc
		if named, prefixErr := byPrefix(list, selector); prefixErr == nil {
			return named, nil
		}
	}
	return s, err
}

// SelectOnly is Select for actions that cannot be undone: a date or a time has to identify a single snapshot, in loc
// or as the beginning of its name, and never one before it, so that the same command given twice does not affect two
// snapshots. An age is refused. SelectOnly also finds, by its whole name, a snapshot of which only the folder or the
// catalog is left.
func (a *Archive) SelectOnly(selector string, now time.Time, loc *time.Location) (Snapshot, error) {
	list, err := a.Snapshots()
	if err != nil {
		return Snapshot{}, err
	}
	s, err := selectOnly(a.latest.until(list, selector, now), selector, now, loc)
	if s.Name != selector {
		if part, why, lostErr := a.lost(selector); why != nil || lostErr != nil {
			return part, lostErr
		}
	}
	return s, err
}

// selectToRemove is SelectOnly for several snapshots that are to be removed. It also returns the names of snapshots
// that an interrupted command has removed already: the name of such a snapshot, or the beginning of the name, is no
// mistake, because the same command given again finishes that (Finish). With an error selectToRemove returns the names
// found before it.
func (a *Archive) selectToRemove(selectors []string, now time.Time, loc *time.Location) (names, removed []string, err error) {
	before, err := a.removedNames()
	if err != nil {
		return nil, nil, err
	}
	for _, selector := range selectors {
		s, err := a.SelectOnly(selector, now, loc)
		if errors.Is(err, ErrNoSnapshot) {
			list, listErr := a.Snapshots()
			if gone := removedBefore(list, before, selector); listErr == nil && gone != "" {
				removed = append(removed, gone)
				continue
			}
			err = errors.Join(err, listErr)
		}
		if err != nil {
			return names, removed, err
		}
		names = append(names, s.Name)
	}
	return names, removed, nil
}

// removedBefore returns the removed snapshot that a selector means: the selector is its name or the beginning of it,
// and of none in list, the snapshots that the archive still has; "" if there is none.
func removedBefore(list []Snapshot, removed []string, selector string) string {
	if slices.ContainsFunc(list, func(s Snapshot) bool { return strings.HasPrefix(s.Name, selector) }) {
		return ""
	}
	i := slices.IndexFunc(removed, func(name string) bool { return strings.HasPrefix(name, selector) })
	if i < 0 {
		return ""
	}
	return removed[i]
}

func selectOnly(list []Snapshot, selector string, now time.Time, loc *time.Location) (Snapshot, error) {
	s, err := selectFrom(list, selector, now, loc)
	from, to, isTime := calendar.Period(selector, now, loc)
	if err != nil || !isTime || s.Name == selector {
		return s, err
	}
	if from == to { // an age
		return Snapshot{}, fmt.Errorf("%w: %q is an age, which may mean another one the next time", ErrNoSnapshot, selector)
	}
	var found []Snapshot
	for _, s := range list {
		if !s.Time.Before(from) && !s.Time.After(to) || strings.HasPrefix(s.Name, selector) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return Snapshot{}, fmt.Errorf("%w: %q: the last one before it is %s", ErrNoSnapshot, selector, s.Name)
	case 1:
		return found[0], nil
	}
	return Snapshot{}, fmt.Errorf("%w: %q means %d, %s to %s", ErrNoSnapshot, selector, len(found), found[0].Name,
		found[len(found)-1].Name)
}

func latestBack(selector string) (int, bool) {
	rest, ok := strings.CutPrefix(selector, LatestLink)
	if !ok {
		return 0, false
	}
	if rest == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(rest, "~")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), ok && err == nil
}

// timeMeant returns the moment before which a snapshot must have started to match the selector.
func timeMeant(selector string, now time.Time, loc *time.Location) (time.Time, bool) {
	from, to, ok := calendar.Period(selector, now, loc)
	if from == to { // an age: includes a snapshot of that second
		return to.Add(time.Second), ok
	}
	return to.Add(1), ok
}

func lastUntil(list []Snapshot, selector string, until time.Time) (Snapshot, error) {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Time.Before(until) {
			return list[i], nil
		}
	}
	return Snapshot{}, fmt.Errorf("%w: %q: the oldest is %s", ErrNoSnapshot, selector, list[0].Name)
}

func byPrefix(list []Snapshot, selector string) (Snapshot, error) {
	var found []Snapshot
	for _, s := range list {
		if selector != "" && strings.HasPrefix(s.Name, selector) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return Snapshot{}, fmt.Errorf("%w: %q", ErrNoSnapshot, selector)
	case 1:
		return found[0], nil
	}
	return Snapshot{}, fmt.Errorf("%w: %q is the beginning of %d names, %s to %s", ErrNoSnapshot, selector, len(found),
		found[0].Name, found[len(found)-1].Name)
}

// removedNames returns the names of removed snapshots that still take space.
func (a *Archive) removedNames() (list []string, err error) {
	all, err := a.Trash.list()
	if err != nil {
		return nil, err
	}
	inPlace, err := a.removingInPlace()
	if err != nil {
		return nil, err
	}
	for _, file := range append(all, inPlace) {
		name, _, _ := strings.Cut(file, ".")
		if _, isName := ParseName(name); isName && (file == name || strings.HasPrefix(file, name+goneExt)) {
			list = append(list, name)
		}
	}
	return list, nil
}
