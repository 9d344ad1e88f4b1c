package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/config"
	"snapcopy/internal/workers"
)

// jobFile is the flag of the commands that read the job file.
type jobFile struct {
	path  string
	quiet bool // no note about another file
}

func (o *jobFile) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.path, "config", "", "read the jobs from `FILE` (default: ~/.config/snapcopy/config.toml, then /etc/snapcopy.toml)")
}

// load reads the file, and checks the values of all jobs. With more it also does what check does for each job. Faults are
// printed, each with the text around it.
func (o *jobFile) load(ctx context.Context, a *app, more ...jobCheck) (*config.File, error) {
	path := o.path
	if path == "" {
		found, passed, err := config.Find()
		if err != nil {
			return nil, &usageError{err: err, hint: hintNoJobFile()}
		}
		if path = found; len(passed) > 0 && !o.quiet {
			a.term.errorf("Note: the jobs are those of %s; %s is not read.", name(path), name(passed[0]))
		}
	}
	file, err := config.Load(path, jobSchema())
	var problems config.Problems
	var call *fs.PathError
	switch {
	case err == nil, errors.As(err, &problems):
	case errors.As(err, &call):
		return nil, &usageError{err: fmt.Errorf("the job file %s: %w", name(absolute(path)), call.Err), hint: hintNoJobFile()}
	default:
		return nil, &usageError{err: fmt.Errorf("the job file %s: %w", name(absolute(path)), err)}
	}
	if file != nil {
		problems = append(problems, a.checkJobs(ctx, file, append([]jobCheck{a.checkValues}, more...))...)
	}
	if len(problems) == 0 {
		return file, nil
	}
	problems.Sort()
	return nil, a.tellProblems(path, problems)
}

// absolute returns a path as it is if the folder of the process is unknown.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
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

// jobCheck returns a fault of a job, and the section that has it.
type jobCheck func(context.Context, *jobRun) (section string, err error)

// checkJobs makes the checks, each of a job up to its first fault, and looks for jobs that would remove each other's
// snapshots. Archives are compared by their paths: one that does not answer must not delay the other jobs.
func (a *app) checkJobs(ctx context.Context, file *config.File, checks []jobCheck) (problems config.Problems) {
	pruning := make(map[string]*config.Job) // by archive
	for _, j := range file.Jobs {
		r, section, err := newJobRun(j)
		for i := 0; i < len(checks) && err == nil; i++ {
			section, err = checks[i](ctx, r)
		}
		if err != nil {
			problems = append(problems, jobProblem(file, j, section, err))
		}
		archive := j.Text("", "archive")
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

// checkValues finds what the commands of a job would refuse whatever the disks have. No file is looked at.
func (a *app) checkValues(ctx context.Context, r *jobRun) (section string, err error) {
	if within(r.source, r.archive) {
		return "", fmt.Errorf("source is in the archive, %s: choose an archive that does not contain the source", name(r.archive))
	}
	take := r.snapshot
	take.patterns = slices.DeleteFunc(slices.Clone(take.patterns), func(g givenPattern) bool { return g.flag.file })
	if _, err = take.options(ctx, a); err != nil {
		return "", err
	}
	if _, err := take.limited(ctx); err != nil {
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
		const whole = "/" // any place without a selector
		if err := errors.Join(checkThreads(r.verify[i].threads), r.verify[i].check(whole)); err != nil {
			return "verify", err
		}
	}
	return "", nil
}

// within reports whether a cleaned absolute path is another one or below it.
func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// checkFiles reads the pattern files of a job, and looks into its source for patterns that match nothing.
func (a *app) checkFiles(ctx context.Context, r *jobRun) (section string, err error) {
	opt, err := r.snapshot.options(ctx, a)
	if err != nil {
		return "", err
	}
	var misplaced []string
	if err := workers.UntilDone(ctx, func() (err error) {
		misplaced, err = checkPatternsOf(opt.Exclude, r.source)
		return err
	}); err != nil {
		return "", err
	}
	for _, text := range append(opt.Exclude.Warnings(), misplaced...) {
		a.term.errorf("Warning: job %s: %s.", r.Name, printable(text))
	}
	return "", nil
}

// keyOfWord is the key for a flag with its --.
func keyOfWord(flag string) string { return keyOf(strings.TrimPrefix(flag, "--")) }

var flagWord = regexp.MustCompile(`--[a-z][a-z-]*`)

// jobProblem puts the refusal of a command into the words of the job file.
func jobProblem(file *config.File, j *config.Job, section string, err error) *config.Problem {
	line := j.Line
	text := flagWord.ReplaceAllStringFunc(err.Error(), func(flag string) string {
		key := keyOfWord(flag)
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
