package prune

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"snapcopy/internal/testtree"
)

// resticTimes are local times in Berlin: bursts, a change of the clocks, an ISO week 53, leap day, year ends, gaps.
var resticTimes = []string{
	"2019-03-10 02:00", "2019-03-20 02:00", "2019-11-05 02:00", "2019-12-31 23:59", "2020-01-01 00:00", "2020-02-28 12:00",
	"2020-02-29 12:00", "2020-03-01 12:00", "2020-10-24 23:30", "2020-10-25 01:30", "2020-10-25 03:30", "2020-12-27 12:00",
	"2020-12-28 12:00", "2020-12-31 12:00", "2021-01-03 12:00", "2021-01-04 12:00", "2021-02-28 12:00", "2021-03-01 12:00",
	"2021-03-02 12:00", "2021-03-03 13:00", "2021-03-10 12:00", "2021-03-11 02:00", "2021-03-12 02:00", "2021-03-13 02:00",
	"2021-03-14 02:00", "2021-03-15 02:00", "2021-03-16 02:00", "2021-03-17 02:00", "2021-03-18 02:00", "2021-03-19 02:00",
	"2021-03-20 02:00", "2021-03-21 02:00", "2021-03-22 02:00", "2021-03-24 11:00", "2021-03-28 01:59", "2021-03-28 03:00",
	"2021-03-29 12:00", "2021-03-30 11:59", "2021-03-30 12:00", "2021-03-30 12:01", "2021-03-31 10:15", "2021-03-31 10:45",
	"2021-03-31 11:59", "2021-03-31 12:00",
}

// Guards: the rules are those of restic's forget. The restic that Debian has, 0.14, is older than the rules followed
// here in one point, and wrong by them in another; what follows from both is asserted to the snapshot:
//
//   - it does not keep the oldest snapshot while a rule is not used up (0.16 does);
//   - a month before 31 March is 3 March for it, not the last day of February.
//
// It knows no "unlimited" either: a thousand stands for that.
func TestLikeRestic(t *testing.T) {
	restic := testtree.Need(t, "restic")
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	run := resticRepository(t, restic, resticTimes)
	old := strings.HasPrefix(run("version"), "restic 0.14.")

	cases := []struct {
		policy Policy
		here   []string // what restic 0.14 does not keep; there is nothing that it alone does
	}{
		{policy: Policy{Last: 5}},
		{policy: Policy{Hourly: 12}},
		{policy: Policy{Daily: 4, Weekly: 4, Monthly: 6, Yearly: 2}},
		{policy: Policy{Daily: 20}},
		{policy: Policy{Weekly: 12}},
		{policy: Policy{Weekly: 1000}}, // the oldest has a week of its own
		{policy: Policy{Monthly: 11}},  // there are eleven
		{policy: Policy{Monthly: 12}, here: []string{"2019-03-10 02:00"}},
		{policy: Policy{Monthly: 8}},
		{policy: Policy{Yearly: 10}, here: []string{"2019-03-10 02:00"}},
		{policy: Policy{Yearly: 3}},
		{policy: Policy{Yearly: 3, Daily: 3}},
		{policy: Policy{Within: span(t, "36h")}},
		{policy: Policy{Within: span(t, "1d")}},
		{policy: Policy{Within: span(t, "3d")}}, // across the change of the clocks
		{policy: Policy{Within: span(t, "1m")},
			here: []string{"2021-03-01 12:00", "2021-03-02 12:00"}}, // and 28 February 12:00 is just not within
		{policy: Policy{Within: span(t, "1y1m1d")},
			here: []string{"2020-02-29 12:00", "2020-03-01 12:00"}},
		{policy: Policy{WithinHourly: span(t, "2d"), WithinDaily: span(t, "7d"), WithinYearly: span(t, "10y")},
			here: []string{"2019-03-10 02:00"}},
		{policy: Policy{WithinWeekly: span(t, "1y"), Last: 2}},
	}
	var group sync.WaitGroup
	for _, c := range cases {
		group.Go(func() {
			c.policy.Zone = berlin
			flags := resticFlags(&c.policy)
			theirs, err := forget(run("forget", flags...))
			if err != nil {
				t.Errorf("%v: %v", flags, err)
				return
			}
			plan, err := Make(complete(t, berlin, resticTimes...), c.policy, late, nil)
			if err != nil {
				t.Errorf("%v: %v", flags, err)
				return
			}
			ours := keptNames(plan)
			if !old {
				// Newer ones keep the oldest; only the months before the last day of one are different.
				c.here = slices.DeleteFunc(c.here, func(s string) bool { return s == resticTimes[0] })
			}
			equalLines(t, fmt.Sprintf("%v: kept here alone", flags), minus(ours, theirs), c.here)
			equalLines(t, fmt.Sprintf("%v: kept by restic alone", flags), minus(theirs, ours), nil)
		})
	}
	group.Wait()
}

// resticRepository makes a repository with a snapshot at each time, and returns what runs restic on it, also from
// several goroutines. It begins with a new repository from testdata, whose password is cheap to check: restic makes one
// that takes half a second of it for each of the many commands here.
func resticRepository(t *testing.T, restic string, times []string) func(command string, args ...string) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	views := resticViews(t, dir)
	run := func(command string, args ...string) string {
		view := <-views
		defer func() { views <- view }()
		c := exec.Command(restic, append([]string{command, "--no-cache"}, args...)...)
		c.Dir = dir
		c.Env = append(os.Environ(), "RESTIC_REPOSITORY="+view, "RESTIC_PASSWORD=x", "TZ=Europe/Berlin")
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Errorf("restic %s: %v: %s", command, err, stderr.String())
		}
		return string(out)
	}
	var group sync.WaitGroup
	for _, when := range times {
		group.Go(func() { run("backup", "-q", "--force", "--host", "h", "--time", when+":00", "file") })
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return run
}

// resticViews makes one repository that several processes can use at once, each through a folder of its own, which
// differ in where the locks are: restic waits for most of a minute when a lock goes away that it has just seen.
func resticViews(t *testing.T, dir string) chan string {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	repo := filepath.Join(dir, "repository")
	for _, d := range []string{"data", "index", "keys", "snapshots"} {
		must(os.MkdirAll(filepath.Join(repo, d), 0o700))
	}
	config, err := os.ReadFile(filepath.Join("testdata", "restic", "config"))
	must(err)
	must(os.WriteFile(filepath.Join(repo, "config"), config, 0o600))
	key, err := os.ReadFile(filepath.Join("testdata", "restic", "key"))
	must(err)
	must(os.WriteFile(filepath.Join(repo, "keys", fmt.Sprintf("%x", sha256.Sum256(key))), key, 0o600))

	const processes = 4
	views := make(chan string, processes)
	for i := range processes {
		view := filepath.Join(dir, fmt.Sprint("view", i))
		must(os.MkdirAll(filepath.Join(view, "locks"), 0o700))
		for _, part := range []string{"config", "data", "index", "keys", "snapshots"} {
			must(os.Symlink(filepath.Join(repo, part), filepath.Join(view, part)))
		}
		views <- view
	}
	return views
}

func resticFlags(p *Policy) []string {
	flags := []string{"--dry-run", "--json", "--no-lock", "--group-by", ""}
	for _, r := range p.rules() {
		name := "--keep-" + string(r.kind)
		if unit, isWithin := strings.CutSuffix(string(r.kind), " within"); isWithin {
			name = "--keep-within-" + unit
		}
		if r.count != 0 {
			flags = append(flags, name, fmt.Sprint(int(r.count)))
		}
		if !r.within.IsZero() {
			flags = append(flags, name, r.within.String())
		}
	}
	return flags
}

// forget reads what `restic forget --json` keeps, as local times, oldest first.
func forget(output string) (kept []string, err error) {
	var groups []struct {
		Keep []struct{ Time time.Time }
	}
	if err := json.Unmarshal([]byte(output), &groups); err != nil {
		return nil, fmt.Errorf("%q: %w", output, err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		for _, s := range g.Keep {
			kept = append(kept, s.Time.In(berlin).Format(minute))
		}
	}
	slices.Sort(kept)
	return kept, nil
}

func minus(a, b []string) (list []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			list = append(list, s)
		}
	}
	return list
}
