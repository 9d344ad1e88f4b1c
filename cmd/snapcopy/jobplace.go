package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"snapcopy/internal/config"
)

// Where an ARCHIVE is expected, @JOB is that of a job, and @JOB@SNAPSHOT a snapshot in it.

// jobPlace splits @JOB and @JOB@SNAPSHOT; ok is false for any other text. at is the selector with its @.
func jobPlace(arg string) (job, at string, ok bool) {
	rest, ok := strings.CutPrefix(arg, "@")
	if !ok || rest == "" || exists(arg) {
		return "", "", false
	}
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		return rest[:i], rest[i:], true
	}
	return rest, "", true
}

// withJobs returns the arguments of a command with the archives of jobs in their places.
func (a *app) withJobs(c *cobra.Command, args []string) ([]string, error) {
	at := slices.IndexFunc(argWords(c), func(w string) bool { return strings.HasPrefix(strings.Trim(w, "[]"), "ARCHIVE") })
	if at < 0 || at >= len(args) {
		return args, nil
	}
	job, selector, ok := jobPlace(args[at])
	if !ok {
		return args, nil
	}
	archive, err := a.archiveOf(job)
	if err != nil {
		return nil, err
	}
	meant := slices.Clone(args)
	meant[at] = archive + selector
	if i := slices.Index(a.typed, args[at]); i >= 0 { // for commands that a person is told to type
		a.typed = slices.Clone(a.typed)
		a.typed[i] = meant[at]
	}
	return meant, nil
}

// archiveOf returns the archive of a job. Faults of other jobs do not matter: a restore must not wait for them.
func (a *app) archiveOf(job string) (string, error) {
	path, _, err := config.Find()
	if err != nil {
		return "", &usageError{err: fmt.Errorf("@%s stands for the archive of a job, and %w", job, err), hint: hintNoJobFile()}
	}
	file, err := config.Load(path, jobSchema())
	if file != nil {
		if j, ok := file.Job(job); ok {
			return j.Text("", "archive"), nil
		}
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		return "", a.tellProblems(path, problems)
	case err != nil:
		return "", &usageError{err: err}
	}
	_, err = jobNamed(file, job)
	return "", err
}

func hintNoJobFile() string {
	return "`snapcopy config example` prints one to begin with: write it to " + shellWord(config.Usual()[0]) + ", and change it"
}

// completeJobPlace completes @JOB.
func completeJobPlace(c *cobra.Command, begun string) (found []cobra.Completion) {
	jobs, _ := jobsBegun(c, strings.TrimPrefix(begun, "@")) // without a file there are none
	for _, j := range jobs {
		found = append(found, cobra.CompletionWithDesc("@"+j.Name, printable(j.Text("", "archive"))))
	}
	return found
}

// jobsBegun returns the jobs whose names begin so.
func jobsBegun(c *cobra.Command, begun string) (list []*config.Job, err error) {
	path := ""
	if f := c.Flags().Lookup("config"); f != nil {
		path = f.Value.String()
	}
	if path == "" {
		if path, _, err = config.Find(); err != nil {
			return nil, err
		}
	}
	file, err := config.Load(path, jobSchema())
	if file == nil {
		return nil, err
	}
	for _, j := range file.Jobs {
		if strings.HasPrefix(j.Name, begun) {
			list = append(list, j)
		}
	}
	return list, nil
}
