package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/config"
)

// jobFile is the flag of the commands that read the job file.
type jobFile struct{ path string }

func (o *jobFile) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.path, "config", "", "read the jobs from `FILE` (default: ~/.config/snapcopy/config.toml, then /etc/snapcopy.toml)")
}

// load reads the file and checks all jobs. Faults are printed, each with the text around it.
func (o *jobFile) load(ctx context.Context, a *app) (*config.File, error) {
	path := o.path
	if path == "" {
		var err error
		if path, err = config.Find(); err != nil {
			return nil, &usageError{err: err, hint: hintNoJobFile()}
		}
	}
	file, err := config.Load(path, jobSchema())
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, &usageError{err: err}
	}
	if file != nil {
		problems = append(problems, a.checkJobs(ctx, file)...)
	}
	if len(problems) == 0 {
		return file, nil
	}
	problems.Sort()
	return nil, a.tellProblems(path, problems)
}

// tellProblems prints the faults of a job file.
func (a *app) tellProblems(path string, list config.Problems) error {
	const hint = "`snapcopy config example` shows all keys, `snapcopy config check` checks the file"
	if a.json {
		return &usageError{err: list, hint: hint}
	}
	for _, p := range list {
		a.term.errorf("snapcopy: %s", printable(p.Error()))
		for _, line := range p.Around {
			a.term.errorf("%s", printable(line))
		}
	}
	a.term.errorf("%s in %s; nothing was done.", counted(uint64(len(list)), "fault", "faults"), name(path))
	a.term.errorf("Hint: %s.", hint)
	return told{statusUsage}
}

// jobRun is a job with the options of its steps.
type jobRun struct {
	*config.Job
	source, archive string
	wait            lockWait
	snapshot        snapshotOptions
	prune           *pruneOptions   // nil: it removes nothing
	verify          []verifyOptions // a share, and a sample
}

// newJobRun makes the options of a job from its values. An error is one of a single step, whose section it is.
func newJobRun(j *config.Job) (r *jobRun, section string, err error) {
	r = &jobRun{Job: j, source: j.Text("", "source"), archive: j.Text("", "archive")}
	if text := j.Text("", "lock_wait"); text != "" {
		err = r.wait.limit.Set(text)
	}
	if err = errors.Join(err, setFlags(flagSet(r.snapshot.AddFlags), j, "")); err != nil {
		return nil, "", err
	}
	if j.Has("prune") {
		r.prune = new(pruneOptions)
		if err := setFlags(flagSet(r.prune.AddFlags), j, "prune"); err != nil {
			return nil, "prune", err
		}
	}
	if j.Has("verify") {
		var o verifyOptions
		if err := setFlags(flagSet(o.AddFlags), j, "verify"); err != nil {
			return nil, "verify", err
		}
		r.verify = checksOf(o)
	}
	return r, "", nil
}

// checksOf parts a share of the stored files and a sample of the source, which are checks of their own.
func checksOf(o verifyOptions) []verifyOptions {
	if o.spot.share == 0 || !o.budget.given() && o.wholeIn.IsZero() && !o.metadata {
		return []verifyOptions{o}
	}
	share, sample := o, o
	share.spot = spotOptions{}
	sample.budget, sample.wholeIn, sample.metadata = budgetFlag{}, spanFlag{}, false
	return []verifyOptions{share, sample}
}

// checkJobs does all that the commands of the jobs would refuse, and looks for jobs that would remove each other's
// snapshots.
func (a *app) checkJobs(ctx context.Context, file *config.File) (problems config.Problems) {
	pruning := make(map[string]*config.Job) // by archive
	for _, j := range file.Jobs {
		section, err := a.checkJob(ctx, j)
		if err != nil {
			problems = append(problems, jobProblem(file, j, section, err))
		}
		archive := realPath(j.Text("", "archive"))
		other := pruning[archive]
		if other == nil {
			pruning[archive] = j
		} else if rulesOf(j) != rulesOf(other) {
			problems = append(problems, file.Problem(j.Line, fmt.Sprintf("the jobs %s and %s have one archive, %s, and different rules to prune it, "+
				"which would remove snapshots of each other: give both the same table prune, or each an archive", other.Name, j.Name, name(archive))))
		}
	}
	return problems
}

// realPath follows symbolic links as far as the path exists.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(realPath(dir), filepath.Base(path))
	}
	return path
}

// rulesOf is a text that is equal for jobs that prune alike.
func rulesOf(j *config.Job) string {
	if !j.Has("prune") {
		return ""
	}
	var b strings.Builder
	for _, s := range j.Settings {
		if s.Section == "prune" && !slices.Contains([]string{"background_io", "rate", "threads"}, s.Key) {
			fmt.Fprintf(&b, "%s=%s\n", s.Key, s.Values[0].Text)
		}
	}
	return b.String()
}

// checkJob returns what the commands of a job would refuse, and the section of that step.
func (a *app) checkJob(ctx context.Context, j *config.Job) (section string, err error) {
	r, section, err := newJobRun(j)
	if err != nil {
		return section, err
	}
	opt, err := r.snapshot.options(ctx, a)
	if err != nil {
		return "", err
	}
	if _, err := checkPatternsOf(opt.Exclude, r.source); err != nil {
		return "", err
	}
	if _, err := r.snapshot.limited(ctx); err != nil {
		return "", err
	}
	if o := r.prune; o != nil {
		trial := *a // a zone is that of the step alone
		if err := errors.Join(checkThreads(o.threads), checkRate(o.rate), o.setZone(&trial)); err != nil {
			return "prune", err
		}
		if policy := o.policy(trial.loc); policy.IsEmpty() {
			return "prune", errors.New("prune has no rule, so no snapshot would be kept; prune = false removes nothing")
		}
	}
	for i := range r.verify {
		if err := errors.Join(checkThreads(r.verify[i].threads), r.verify[i].check(r.archive)); err != nil {
			return "verify", err
		}
	}
	return "", nil
}

var flagWord = regexp.MustCompile(`--[a-z][a-z-]*`)

// jobProblem puts the refusal of a command into the words of the job file.
func jobProblem(file *config.File, j *config.Job, section string, err error) *config.Problem {
	line := j.Line
	text := flagWord.ReplaceAllStringFunc(err.Error(), func(flag string) string {
		key := keyOf(strings.TrimPrefix(flag, "--"))
		if set := j.Get(section, key); set != nil {
			line = set.Values[0].Line
		}
		return key
	})
	if section != "" {
		section = ", " + section
	}
	return file.Problem(line, "job "+j.Name+section+": "+strings.ReplaceAll(text, "\n", "; "))
}

// completeJob completes the name of a job.
func completeJob(c *cobra.Command, begun string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
	jobs, _ := jobsBegun(c, begun) // without a file there are none
	for _, j := range jobs {
		found = append(found, cobra.CompletionWithDesc(j.Name, printable(j.Text("", "source"))))
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// jobNamed returns a job by its name.
func jobNamed(file *config.File, word string) (*config.Job, error) {
	if j, ok := file.Job(word); ok {
		return j, nil
	}
	return nil, &usageError{err: fmt.Errorf("there is no job %s in %s", name(word), name(file.Path)),
		hint: "its jobs are " + strings.Join(file.Names(), ", ")}
}
