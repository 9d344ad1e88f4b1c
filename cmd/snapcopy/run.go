package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
	"snapcopy/internal/workers"
)

type runOptions struct {
	file     jobFile
	all      bool
	dryRun   bool
	wait     givenWait
	verbose  int
	quiet    bool
	json     bool
	progress progressFlag

	damaged map[string]bool // archives in which a step of this run has found damage, by their real paths
}

func runCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "run [JOB...]",
		Short: "Run jobs: take a snapshot, prune, verify a share",
		Long: `Run the named jobs, or with --all all of them, one after the other: each takes a snapshot of its source, then removes
the snapshots that its table prune does not keep, then does the checks of its table verify. "snapcopy config
--help" says where jobs are written down.

If the file has a fault - a wrong key, type or value - nothing is run. A job that fails, also because a pattern file or
a folder is missing, does not stop the others. After a snapshot that failed (exit status 1, 5, 64 or 130) the other
steps of its job are left out; after one with damage (4) or that looks wrong (6) nothing is pruned. Nor is anything in
an archive whose damage is known and not mended (see "snapcopy repair"): the job ends with exit status 4 then. If
verify has a share (budget, whole_in) and spot, both checks are made.

The exit status is the worst of all steps. From the worst on: 4, 64, 1, 130 (time_limit), 7, 5, 6, 3, 0. Each error and
warning names the job and its archive.`,
		Example: `  snapcopy run home
  snapcopy run --all --dry-run
  30 2 * * *  snapcopy run --all --quiet        # in a crontab`,
	}, new(runOptions), mayBeDone, status{statusFailed, "a job failed"}, mayBeIncomplete, mayFindDamage,
		status{statusLocked, "another process is writing to an archive"}, mayLookWrong, mayLackSpace)
	completeConfig(c)
	return c
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&o.all, "all", false, "run all jobs, in the order of the file")
	o.file.addTo(f)
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what snapshot and prune would do; change nothing, and verify nothing")
	f.Var(&o.wait, "lock-wait", "wait at most `DURATION` for each archive that is locked, whatever the job says")
	f.CountVarP(&o.verbose, "verbose", "v", "``a line for each entry that changed or is left out; -vv: for all")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	f.BoolVar(&o.json, "json", false, "print the JSON objects of the steps, and one for each job")
	o.progress.addTo(f)
}

// givenWait is a wait that can be given as 0, too.
type givenWait struct {
	waitFlag
	given bool
}

func (v *givenWait) Set(text string) error {
	v.given = true
	return v.waitFlag.Set(text)
}

// Run runs the jobs. Output that cannot be written stops none of them.
func (o *runOptions) Run(ctx context.Context, a *app, args []string) error {
	jobs, err := o.jobs(ctx, a, args)
	if err != nil {
		return err
	}
	o.damaged = make(map[string]bool)
	lossy := &lossyWriter{to: a.term.outlet.to}
	a.term.outlet.to = lossy
	done, err := o.runJobs(ctx, a, jobs)
	err = errors.Join(err, o.tell(a, done), a.term.flush(), lossy.err)
	all := outcomeOfJobs(ctx, done)
	if err != nil {
		a.term.errorf("snapcopy: standard output: %s; the jobs went on, and a part of what they said is lost", printable(err.Error()))
		all = worst(all, statusFailed)
	}
	if all == statusDone {
		return nil
	}
	return told{all}
}

// lossyWriter goes on after a failure.
type lossyWriter struct {
	to  io.Writer
	err error // the first one
}

func (w *lossyWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err == nil || errors.Is(err, syscall.EPIPE) { // an outlet knows a reader that has gone
		return n, err
	}
	if w.err == nil {
		w.err = err
	}
	return len(p), nil
}

// runJobs runs the jobs until a signal. An error is one of the output.
func (o *runOptions) runJobs(ctx context.Context, a *app, jobs []*jobRun) (done []*jobObject, err error) {
	for i, r := range jobs {
		if ctx.Err() != nil {
			a.term.errorf("snapcopy: not begun: %s", jobsText(jobs[i:]))
			break
		}
		if !o.quiet && !o.json {
			err = errors.Join(err, a.printf("Job %s: %s to %s\n", r.Name, name(r.source), name(r.archive)))
		}
		out := o.job(ctx, a, r)
		done = append(done, out)
		if o.json {
			err = errors.Join(err, a.printJSON("job", out))
		}
	}
	return done, err
}

// jobs returns the jobs to run.
func (o *runOptions) jobs(ctx context.Context, a *app, args []string) (list []*jobRun, err error) {
	if o.all && len(args) > 0 {
		return nil, wrongUsage("--all runs all jobs: leave out their names")
	}
	o.file.quiet = o.quiet
	file, err := o.file.load(ctx, a)
	if err != nil {
		return nil, err
	}
	if o.all {
		args = file.Names()
	}
	if len(args) == 0 {
		return nil, &usageError{err: errors.New("JOB is missing"), hint: "the jobs of " + name(file.Path) + " are " + strings.Join(file.Names(), ", ") +
			"; --all runs them all"}
	}
	for i, word := range args {
		job, err := jobNamed(file, word)
		if err != nil {
			return nil, err
		}
		r, _, err := newJobRun(job)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(args[:i], word) {
			list = append(list, r)
		}
	}
	return list, nil
}

func jobsText(jobs []*jobRun) string {
	names := make([]string, len(jobs))
	for i, r := range jobs {
		names[i] = r.Name
	}
	return strings.Join(names, ", ")
}

// jobObject is the outcome of a job.
type jobObject struct {
	Job     string       `json:"job"`
	Source  string       `json:"source"`
	Archive string       `json:"archive"`
	Status  int          `json:"status"`
	Steps   []stepObject `json:"steps"`
}

type stepObject struct {
	Step    string  `json:"step"` // snapshot, prune, verify
	Status  int     `json:"status"`
	Seconds float64 `json:"seconds"`
}

// job runs one job.
func (o *runOptions) job(ctx context.Context, a *app, r *jobRun) *jobObject {
	out := &jobObject{Job: r.Name, Source: r.source, Archive: r.archive}
	step := func(what string, work func(context.Context, *app) error) {
		out.Steps = append(out.Steps, o.step(ctx, a, r, what, work))
		out.Status = worst(out.Status, out.Steps[len(out.Steps)-1].Status)
	}
	r.snapshot.quiet, r.snapshot.verbose, r.snapshot.json, r.snapshot.dryRun, r.snapshot.progress = o.quiet, o.verbose, o.json, o.dryRun, o.progress
	step("snapshot", func(ctx context.Context, a *app) error { return r.snapshot.Run(ctx, a, []string{r.source, r.archive}) })
	taken := out.Status
	if p := r.prune; p != nil && slices.Contains([]int{statusDone, statusIncomplete, statusNoSpace}, taken) {
		p.quiet, p.json, p.dryRun, p.progress = o.quiet, o.json, o.dryRun, o.progress
		step("prune", func(ctx context.Context, a *app) error {
			if err := o.mayPrune(ctx, a, r); err != nil {
				return err
			}
			if o.dryRun && !o.quiet && !o.json {
				a.term.errorf("Note: the plan of prune is without the snapshot that the run would take, so the run can remove more.")
			}
			return p.Run(ctx, a, []string{r.archive})
		})
	}
	if r.prune != nil && taken == statusDamage {
		own := subject{what: "archive", path: r.archive, job: r.Name}
		a.term.errorf("Warning: %s", own.of("nothing is pruned, because damage was found"))
	}
	if o.dryRun || slices.Contains([]int{statusFailed, statusLocked, statusUsage, statusInterrupted}, taken) {
		return out
	}
	for i := range r.verify {
		v := &r.verify[i]
		v.quiet, v.json, v.progress = o.quiet, o.json, o.progress
		step("verify", func(ctx context.Context, a *app) error { return v.Run(ctx, a, []string{r.archive}) })
	}
	return out
}

// mayPrune returns an error if the archive has damage that is not mended: pruning could remove the last sound copy of a
// stored file, which repair needs.
func (o *runOptions) mayPrune(ctx context.Context, a *app, r *jobRun) error {
	var note *verified.Note
	err := workers.UntilDone(ctx, func() error {
		arch, err := archive.Open(r.archive)
		if err != nil {
			return err
		}
		note, err = arch.Verified().Damage()
		return errors.Join(err, arch.Close())
	})
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(note.Damaged, func(d verified.Damaged) bool { return d.Kind != verified.Records && d.Kind != verified.Stranger })
	switch own := shellWord(r.archive); {
	case known:
		a.term.errorf("Warning: nothing is pruned, because damage is known that is not mended, and snapshots may have the last sound "+
			"copies: `snapcopy repair %s` mends it", own)
	case o.damaged[realPath(r.archive)]:
		a.term.errorf("Warning: nothing is pruned, because a job before has found damage: `snapcopy verify %s` looks for all of it, "+
			"`snapcopy repair %s` mends it", own, own)
	default:
		return nil
	}
	return told{statusDamage}
}

// realPath follows symbolic links; without an answer it is the path itself.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// step runs one command of a job, and puts its outcome into words.
func (o *runOptions) step(ctx context.Context, a *app, r *jobRun, what string, work func(context.Context, *app) error) stepObject {
	own := *a // each command has a zone, a lock and an archive of its own
	own.archive, own.makesRoom, own.opened = "", false, nil
	wait := lockWait{limit: r.wait.limit, quiet: o.quiet}
	if o.wait.given {
		wait.limit = o.wait.waitFlag
	}
	wait.take(ctx, &own, "run "+r.Name)
	own.term.subject = subject{what: "archive", path: r.archive, job: r.Name}
	begin := time.Now()
	err := inKeys(r, sayInterrupted(ctx, work(ctx, &own)))
	own.tellMended()
	status := finish(&own, err)
	a.term.subject = subject{}
	if status == statusDamage {
		o.damaged[realPath(r.archive)] = true
	}
	return stepObject{Step: what, Status: status, Seconds: time.Since(begin).Seconds()}
}

// inKeys puts the refusal of a command into the words of the job.
func inKeys(r *jobRun, err error) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	return &usageError{err: errors.New("job " + r.Name + ": " + flagWord.ReplaceAllStringFunc(err.Error(), keyOfWord)),
		hint: "`snapcopy config check` checks the file with the jobs"}
}

// bySeverity is the exit statuses of steps, the worst last.
var bySeverity = []int{statusDone, statusIncomplete, statusTripwire, statusLocked, statusNoSpace, statusInterrupted, statusFailed, statusUsage,
	statusDamage}

func worst(a, b int) int {
	if slices.Index(bySeverity, a) >= slices.Index(bySeverity, b) {
		return a
	}
	return b
}

// outcomeOfJobs is the worst exit status, unless the whole run was interrupted.
func outcomeOfJobs(ctx context.Context, done []*jobObject) int {
	if ctx.Err() != nil {
		return statusInterrupted
	}
	all := statusDone
	for _, j := range done {
		all = worst(all, j.Status)
	}
	return all
}

// stepWords are exit statuses in a word.
var stepWords = map[int]string{statusDone: "done", statusFailed: "failed", statusIncomplete: "incomplete", statusDamage: "damage", statusLocked: "locked",
	statusTripwire: "looks wrong", statusNoSpace: "no space", statusUsage: "wrong usage", statusInterrupted: "interrupted"}

// tell prints a line for each job; if it is to be quiet, for those that did not end well.
func (o *runOptions) tell(a *app, done []*jobObject) error {
	if o.json {
		return nil
	}
	rows := [][]string{{"JOB", "SNAPSHOT", "PRUNE", "VERIFY", "STATUS"}}
	for _, j := range done {
		words := map[string]string{"snapshot": "-", "prune": "-", "verify": "-"}
		var bad []string
		statuses := make(map[string]int)
		for _, s := range j.Steps {
			statuses[s.Step] = worst(statuses[s.Step], s.Status)
			words[s.Step] = stepWords[statuses[s.Step]]
		}
		for _, step := range []string{"snapshot", "prune", "verify"} {
			if statuses[step] != statusDone {
				bad = append(bad, step+" "+words[step])
			}
		}
		if o.quiet && len(bad) > 0 {
			a.term.errorf("snapcopy: job %s ended with status %d: %s", j.Job, j.Status, strings.Join(bad, ", "))
		}
		rows = append(rows, []string{j.Job, words["snapshot"], words["prune"], words["verify"], fmt.Sprint(j.Status)})
	}
	if o.quiet {
		return nil
	}
	return a.printf("%s", table(rows, false, false, false, false, true))
}
