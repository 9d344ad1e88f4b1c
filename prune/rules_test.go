package prune

import (
	"testing"
)

// Guards: periods are those of the calendar and of the clock on the wall.
func TestCalendars(t *testing.T) {
	for _, c := range []struct {
		name   string
		zone   string
		policy Policy
		times  []string
		want   []string
	}{
		{"the last of each day", "UTC", Policy{Daily: 2},
			[]string{"2026-05-01 23:00", "2026-05-02 01:00", "2026-05-02 23:59", "2026-05-03 00:00"},
			[]string{"2026-05-02 23:59: daily 2 of 2", "2026-05-03 00:00: daily 1 of 2"}},
		{"a day is local", "Europe/Berlin", Policy{Daily: 2},
			[]string{"2026-05-01T21:59:00Z", "2026-05-01T22:00:00Z", "2026-05-02T21:59:00Z"},
			[]string{"2026-05-01T21:59:00Z: daily 2 of 2", "2026-05-02T21:59:00Z: daily 1 of 2"}},
		{"periods without a snapshot do not count", "UTC", Policy{Daily: 3},
			[]string{"2026-01-01 02:00", "2026-01-05 02:00", "2026-03-05 02:00", "2026-03-09 02:00"},
			[]string{"2026-01-05 02:00: daily 3 of 3", "2026-03-05 02:00: daily 2 of 3", "2026-03-09 02:00: daily 1 of 3"}},
		{"a burst", "UTC", Policy{Last: 2, Hourly: 2, Daily: 1},
			[]string{"2026-01-01 01:59", "2026-01-01 02:00", "2026-01-01 02:01", "2026-01-01 02:02", "2026-01-01 02:03"},
			[]string{"2026-01-01 01:59: hourly 2 of 2", "2026-01-01 02:02: last 2 of 2",
				"2026-01-01 02:03: last 1 of 2; hourly 1 of 2; daily 1 of 1"}},
		{"one snapshot, all rules", "UTC", Policy{Last: 1, Hourly: 2, Daily: 3, Weekly: 4, Monthly: 5, Yearly: Unlimited},
			[]string{"2026-01-01 01:59"},
			[]string{"2026-01-01 01:59: last 1 of 1; hourly 1 of 2; daily 1 of 3; weekly 1 of 4; monthly 1 of 5; " +
				"yearly 1, no limit"}},

		// 31 December 2020 is a Thursday: that week, with 3 January 2021, is 2020's week 53.
		{"ISO week 53", "UTC", Policy{Weekly: 3},
			[]string{"2020-12-27 12:00", "2020-12-28 00:00", "2020-12-31 12:00", "2021-01-03 23:59", "2021-01-04 00:00"},
			[]string{"2020-12-27 12:00: weekly 3 of 3", "2021-01-03 23:59: weekly 2 of 3", "2021-01-04 00:00: weekly 1 of 3"}},
		// 30 December 2024 begins week 1 of 2025.
		{"week 1 begins in December", "UTC", Policy{Weekly: 2},
			[]string{"2024-12-29 12:00", "2024-12-30 12:00", "2024-12-31 12:00", "2025-01-05 12:00"},
			[]string{"2024-12-29 12:00: weekly 2 of 2", "2025-01-05 12:00: weekly 1 of 2"}},
		{"the same week number in two years", "UTC", Policy{Weekly: 2},
			[]string{"2025-06-02 12:00", "2026-06-01 12:00"},
			[]string{"2025-06-02 12:00: weekly 2 of 2", "2026-06-01 12:00: weekly 1 of 2"}},
		{"year ends", "Europe/Berlin", Policy{Yearly: 3},
			[]string{"2023-12-31 23:59", "2024-01-01 00:00", "2024-12-31T22:59:00Z", "2024-12-31T23:00:00Z", "2025-03-01 12:00"},
			[]string{"2023-12-31 23:59: yearly 3 of 3", "2024-12-31T22:59:00Z: yearly 2 of 3",
				"2025-03-01 12:00: yearly 1 of 3"}},
		{"leap day", "UTC", Policy{Daily: 2, Monthly: 2},
			[]string{"2024-02-28 12:00", "2024-02-29 00:30", "2024-02-29 12:00", "2024-03-01 00:00"},
			[]string{"2024-02-29 12:00: daily 2 of 2; monthly 2 of 2", "2024-03-01 00:00: daily 1 of 2; monthly 1 of 2"}},

		// On 25 October 2026 the hour from 2 to 3 comes twice in Berlin; on 29 March it is left out.
		{"an hour that comes twice is one", "Europe/Berlin", Policy{Hourly: 3},
			[]string{"2026-10-24T23:30:00Z", "2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z",
				"2026-10-25T01:50:00Z", "2026-10-25T02:10:00Z"},
			[]string{"2026-10-24T23:30:00Z: hourly 3 of 3", "2026-10-25T01:50:00Z: hourly 2 of 3",
				"2026-10-25T02:10:00Z: hourly 1 of 3"}},
		{"an hour that is left out", "Europe/Berlin", Policy{Hourly: 3},
			[]string{"2026-03-28T23:59:00Z", "2026-03-29T00:00:00Z", "2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"},
			[]string{"2026-03-28T23:59:00Z: hourly 3 of 3", "2026-03-29T00:59:00Z: hourly 2 of 3",
				"2026-03-29T01:00:00Z: hourly 1 of 3"}},
		{"days of 23 and 25 hours", "Europe/Berlin", Policy{Daily: 5},
			[]string{"2026-03-28T22:59:00Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:00Z", "2026-03-29T22:00:00Z",
				"2026-10-24T22:00:00Z", "2026-10-25T22:59:00Z", "2026-10-25T23:00:00Z"},
			[]string{"2026-03-28T22:59:00Z: daily 5 of 5", "2026-03-29T21:59:00Z: daily 4 of 5",
				"2026-03-29T22:00:00Z: daily 3 of 5", "2026-10-25T22:59:00Z: daily 2 of 5", "2026-10-25T23:00:00Z: daily 1 of 5"}},
		// In Auckland summer ends in April (5 April 2026, 3:00) and begins in September (27 September, 2:00).
		{"south: twice", "Pacific/Auckland", Policy{Hourly: 2, Daily: 2},
			[]string{"2026-04-04T10:59:00Z", "2026-04-04T13:30:00Z", "2026-04-04T14:30:00Z", "2026-04-05T11:59:00Z"},
			[]string{"2026-04-04T10:59:00Z: daily 2 of 2", "2026-04-04T14:30:00Z: hourly 2 of 2",
				"2026-04-05T11:59:00Z: hourly 1 of 2; daily 1 of 2"}},
		{"south: left out", "Pacific/Auckland", Policy{Daily: 2},
			[]string{"2026-09-26T11:59:00Z", "2026-09-26T12:00:00Z", "2026-09-27T10:59:00Z", "2026-09-27T11:00:00Z"},
			[]string{"2026-09-27T10:59:00Z: daily 2 of 2", "2026-09-27T11:00:00Z: daily 1 of 2"}},
		// In St. John's the clocks went back to 23:01 at 0:01 on 4 November 2007.
		{"a day that ends twice is one", "America/St_Johns", Policy{Daily: 3},
			[]string{"2007-11-03T00:00:00Z", "2007-11-04T02:29:00Z", "2007-11-04T02:30:30Z", "2007-11-04T03:29:00Z",
				"2007-11-04T03:30:00Z"},
			[]string{"2007-11-03T00:00:00Z: daily 3 of 3", "2007-11-04T03:29:00Z: daily 2 of 3",
				"2007-11-04T03:30:00Z: daily 1 of 3"}},

		{"the oldest is kept while a rule is not used up", "UTC", Policy{Weekly: 5, Monthly: 2},
			[]string{"2026-01-02 12:00", "2026-01-03 12:00", "2026-01-20 12:00", "2026-02-10 12:00"},
			[]string{"2026-01-02 12:00: weekly 4 of 5, oldest",
				"2026-01-03 12:00: weekly 3 of 5", "2026-01-20 12:00: weekly 2 of 5; monthly 2 of 2",
				"2026-02-10 12:00: weekly 1 of 5; monthly 1 of 2"}},
		{"the oldest uses up a rule like any other", "UTC", Policy{Daily: 2},
			[]string{"2026-01-02 10:00", "2026-01-02 11:00", "2026-01-02 12:00"},
			[]string{"2026-01-02 10:00: daily 2 of 2, oldest", "2026-01-02 12:00: daily 1 of 2"}},
		{"the oldest, without a limit", "UTC", Policy{Yearly: Unlimited},
			[]string{"2026-01-02 10:00", "2026-01-02 11:00", "2026-01-02 12:00"},
			[]string{"2026-01-02 10:00: yearly 2, no limit, oldest", "2026-01-02 12:00: yearly 1, no limit"}},

		{"within counts from the newest", "UTC", Policy{Within: span(t, "7d")},
			[]string{"2026-01-01 12:00", "2026-01-02 12:00", "2026-01-02 12:01", "2026-01-09 12:00"},
			[]string{"2026-01-02 12:01: within 7d", "2026-01-09 12:00: within 7d"}},
		{"a month before 31 March", "UTC", Policy{Within: span(t, "1m")},
			[]string{"2026-02-28 12:00", "2026-02-28 12:01", "2026-03-03 12:00", "2026-03-31 12:00"},
			[]string{"2026-02-28 12:01: within 1m", "2026-03-03 12:00: within 1m", "2026-03-31 12:00: within 1m"}},
		{"a year before a leap day", "UTC", Policy{Within: span(t, "1y")},
			[]string{"2023-02-28 12:00", "2023-02-28 12:01", "2024-02-29 12:00"},
			[]string{"2023-02-28 12:01: within 1y", "2024-02-29 12:00: within 1y"}},
		{"days across a change of the clocks", "Europe/Berlin", Policy{Within: span(t, "1d")},
			[]string{"2026-03-28 12:00", "2026-03-28 12:01", "2026-03-29 12:00"},
			[]string{"2026-03-28 12:01: within 1d", "2026-03-29 12:00: within 1d"}},
		{"hours across a change of the clocks", "Europe/Berlin", Policy{Within: span(t, "24h")},
			[]string{"2026-03-28 11:00", "2026-03-28 11:01", "2026-03-29 12:00"},
			[]string{"2026-03-28 11:01: within 24h", "2026-03-29 12:00: within 24h"}},
		{"one a day within", "UTC", Policy{WithinDaily: span(t, "2d"), WithinYearly: span(t, "10y")},
			[]string{"2025-06-01 12:00", "2026-01-07 12:00", "2026-01-08 11:00", "2026-01-08 13:00", "2026-01-09 12:00"},
			[]string{"2025-06-01 12:00: yearly within 10y", "2026-01-08 13:00: daily within 2d",
				"2026-01-09 12:00: daily within 2d; yearly within 10y"}},
		{"the oldest within", "UTC", Policy{WithinMonthly: span(t, "1y")},
			[]string{"2026-01-07 12:00", "2026-01-08 11:00", "2026-01-09 12:00"},
			[]string{"2026-01-07 12:00: monthly within 1y, oldest", "2026-01-09 12:00: monthly within 1y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.policy.Zone = zone(t, c.zone)
			list := complete(t, c.policy.Zone, c.times...)
			equalLines(t, c.name, kept(mustMake(t, list, c.policy, late)), c.want)
		})
	}
}

// Guards: what the documentation of restic's forget promises, whose rules these are.
func TestPublishedExamples(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	sundays := every(7, at(t, berlin, "2019-09-01 11:00"), at(t, berlin, "2019-11-17 11:00"))
	if len(sundays) != 12 {
		t.Fatalf("%d Sundays", len(sundays))
	}
	equalLines(t, "one backup every Sunday, --keep-daily 4",
		kept(mustMake(t, sundays, Policy{Daily: 4, Zone: berlin}, late)),
		[]string{"2019-10-27 11:00: daily 4 of 4", "2019-11-03 11:00: daily 3 of 4", "2019-11-10 11:00: daily 2 of 4",
			"2019-11-17 11:00: daily 1 of 4"})

	// One a day for a hundred years: 7 daily, of which one (on a Sunday) is weekly too, so 4 more weekly; 11 more monthly
	// and 74 more yearly, since the newest is all of that.
	century := every(1, at(t, berlin, "1920-01-01 02:00"), at(t, berlin, "2019-12-29 02:00"))
	policy := Policy{Daily: 7, Weekly: 5, Monthly: 12, Yearly: 75, Zone: berlin}
	first, all := make(map[Kind]int), make(map[Kind]int)
	for _, d := range mustMake(t, century, policy, late).Decisions {
		first[d.Reasons[0].Kind]++
		for _, r := range d.Reasons {
			all[r.Kind]++
		}
	}
	if first[Daily] != 7 || first[Weekly] != 4 || first[Monthly] != 11 || first[Yearly] != 74 {
		t.Errorf("a hundred years: %v", first)
	}
	if all[Daily] != 7 || all[Weekly] != 5 || all[Monthly] != 12 || all[Yearly] != 75 {
		t.Errorf("a hundred years: %v", all)
	}

	// The same reach for irregular ones: daily for a week, weekly for a month, monthly for a year, yearly for 75.
	within := Policy{WithinDaily: span(t, "7d"), WithinWeekly: span(t, "1m"), WithinMonthly: span(t, "1y"),
		WithinYearly: span(t, "75y"), Zone: berlin}
	counts := make(map[Kind]int)
	for _, d := range mustMake(t, century, within, late).Decisions {
		for _, r := range d.Reasons {
			counts[r.Kind]++
		}
	}
	// 29 November 2019 and 29 December 2018 and 1944 are neither the last of their weeks, months and years nor within.
	if counts[WithinDaily] != 7 || counts[WithinWeekly] != 5 || counts[WithinMonthly] != 13 || counts[WithinYearly] != 76 {
		t.Errorf("within: %v", counts)
	}
}
