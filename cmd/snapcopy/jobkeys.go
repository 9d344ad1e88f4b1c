package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"snapcopy/internal/config"
	"snapcopy/internal/exclude"
)

// The keys of a job are the flags of the commands that it runs, with _ for -: those of snapshot in the job itself, those
// of prune and verify in tables of that name.

// A jobStep is a command that a job can run.
type jobStep struct {
	section string // its table; "": the job itself
	flags   func(*pflag.FlagSet)
	noKeys  map[string]string // flags that are no keys, with the reason
}

var ofRun = "it belongs to the command that runs the job"

var jobSteps = []jobStep{
	{"", func(f *pflag.FlagSet) { new(snapshotOptions).AddFlags(f) }, map[string]string{
		"dry-run": ofRun, "verbose": ofRun, "quiet": ofRun, "json": ofRun, "progress": ofRun,
		"no-resume":        "it is for one run: each night it would begin anew",
		"allow-clock-back": "it is for one run, after a person has looked at the clock",
	}},
	{"prune", func(f *pflag.FlagSet) { new(pruneOptions).AddFlags(f) }, map[string]string{
		"dry-run": ofRun, "quiet": ofRun, "json": ofRun, "progress": ofRun,
		"simulate":         "it reads made-up snapshots from stdin",
		"allow-remove-all": "a job has to have a rule",
	}},
	{"verify", func(f *pflag.FlagSet) { new(verifyOptions).AddFlags(f) }, map[string]string{
		"quiet": ofRun, "json": ofRun, "progress": ofRun,
		"seed": "it repeats one sample",
	}},
}

// keyOf is the key for a flag.
func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// flagOf is the flag for a key.
func flagOf(key string) string { return strings.ReplaceAll(key, "_", "-") }

const oneSource = "a job saves one folder; make a job for each, with an archive each, or the same archive and the same rules to prune it"

// jobSchema has the keys of a job.
func jobSchema() config.Schema {
	schema := make(config.Schema, len(jobSteps))
	for i := range jobSteps {
		step := &jobSteps[i]
		schema[i].Name = step.section
		if step.section == "" {
			schema[i].Keys = []config.Key{
				{Name: "source", Kind: config.Text, Path: true, Needed: true, Lone: oneSource, Check: onlyLocal},
				{Name: "archive", Kind: config.Text, Path: true, Needed: true, Check: onlyLocal},
				keyFor(func(f *pflag.FlagSet) { new(lockWait).addTo(f) }, "lock-wait"),
			}
		}
		flagSet(step.flags).VisitAll(func(f *pflag.Flag) {
			if step.noKeys[f.Name] == "" {
				schema[i].Keys = append(schema[i].Keys, keyFor(step.flags, f.Name))
			}
		})
	}
	return schema
}

func onlyLocal(path string) error {
	if err := checkLocal(path); err != nil {
		return fmt.Errorf("%w: mount that folder here (sshfs, NFS, SMB), or run snapcopy there", err)
	}
	return nil
}

// flagSet returns the flags that add adds.
func flagSet(add func(*pflag.FlagSet)) *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(f)
	return f
}

// keyFor returns the key for a flag, whose values are those that the flag takes.
func keyFor(flags func(*pflag.FlagSet), flag string) config.Key {
	f := flagSet(flags).Lookup(flag)
	key := config.Key{Name: keyOf(flag), Kind: config.Value}
	switch f.Value.Type() {
	case "bool":
		key.Kind = config.Bool
	case "int", "uint64":
		key.Kind = config.Integer
	case "string", "duration":
		key.Kind = config.Text
	case "stringArray", "FILE", "PATTERN":
		key.Kind = config.List
	}
	what, _ := pflag.UnquoteUsage(f)
	key.Path = what == "FILE" || what == "DIR"
	key.Check = func(text string) error {
		value := flagSet(flags).Lookup(flag).Value
		switch err := value.Set(text); {
		case err != nil && value.Type() == "duration":
			return fmt.Errorf("%q is not a time like 30s, 10m or 2h", text)
		case err != nil:
			return err
		case value.Type() == "PATTERN":
			return exclude.New().AddRule(exclude.Rule{Pattern: text, Source: "pattern"})
		}
		return nil
	}
	return key
}

// unattended are the values that a job has and its command has not, where the file gives none: a new archive is made by a
// person, and a disk that is not mounted is an error.
var unattended = map[string]string{"require-archive": "true"}

// setFlags gives the flags of a step the values of a job.
func setFlags(f *pflag.FlagSet, j *config.Job, section string) error {
	if section == "" {
		for flag, text := range unattended {
			if err := f.Set(flag, text); err != nil {
				return err
			}
		}
	}
	for _, s := range j.Settings {
		flag := flagOf(s.Key)
		if s.Section != section || f.Lookup(flag) == nil { // source, archive
			continue
		}
		for _, v := range s.Values {
			if err := f.Set(flag, v.Text); err != nil {
				return fmt.Errorf("job %s: %s: %w", j.Name, s.Key, err)
			}
		}
	}
	return nil
}
