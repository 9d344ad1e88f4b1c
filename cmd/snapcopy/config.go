package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/config"
)

func configCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show or begin the file with the jobs",
		Long: `Jobs are in a TOML file: that of --config, or ~/.config/snapcopy/config.toml, or /etc/snapcopy.toml. [defaults] has
values for all jobs; [job.NAME] is a job, with its source and its archive. The other keys are the flags of
"snapcopy snapshot", with _ for -; those of "snapcopy prune" and "snapcopy verify" are in the tables prune and
verify. A value of a job takes the place of the default; exclude_also and the like add to a list instead;
"prune = false" and "verify = false" in a job leave these steps out. A job does not make an archive, unless it has
"require_archive = false".

The file and its folder must not be writable by other users.`,
		Example: `  mkdir -p ~/.config/snapcopy
  snapcopy config example > ~/.config/snapcopy/config.toml
  snapcopy config check`,
		Args:        cobra.ArbitraryArgs,
		RunE:        unknownCommand,
		Annotations: map[string]string{"status": statusHelp(mayBeDone, mayFail)},
	}
	show := command(a, &cobra.Command{
		Use:   "show JOB",
		Short: "List the values of a job, and the line of the file that each is from",
		Long: `List the effective values of a job, and where each is from: a line of the file, there in the job or in [defaults], or
the program itself. Keys without a value are left out.`,
		Example: `  snapcopy config show home`,
	}, new(configShow), mayBeDone, mayFail)
	check := command(a, &cobra.Command{
		Use:   "check",
		Short: "Check the file with the jobs",
		Long: `Check the file with the jobs: every key, type and value, and whether values fit together. All faults are listed, each
with its line, and the right name where one is near. Pattern files are read, and sources are searched for paths with
which a pattern begins; for "snapcopy run" such faults are those of the one job. Archives are not looked at. Nothing is
changed.`,
		Example: `  snapcopy config check
  snapcopy config check --config ./new.toml`,
	}, new(configCheck), mayBeDone, mayFail)
	for _, sub := range []*cobra.Command{check, show} {
		completeConfig(sub)
	}
	c.AddCommand(check, command(a, &cobra.Command{
		Use:   "example",
		Short: "Print a file with two jobs and all keys",
		Long: `Print a file to begin with: two jobs, and all keys as comments, each with its meaning. It is right as it stands, but for
the folders.`,
		Example: `  snapcopy config example | sudo tee /etc/snapcopy.toml`,
	}, new(configExample), mayBeDone, mayFail), show)
	return c
}

// completeConfig makes shells complete --config.
func completeConfig(c *cobra.Command) {
	if err := c.MarkFlagFilename("config", "toml"); err != nil {
		panic(err) // there is no such flag
	}
}

type configCheck struct{ file jobFile }

func (o *configCheck) AddFlags(f *pflag.FlagSet) { o.file.addTo(f) }

// Run checks the file.
func (o *configCheck) Run(ctx context.Context, a *app, _ []string) error {
	file, err := o.file.load(ctx, a, a.checkFiles)
	if err != nil {
		return err
	}
	return a.printf("%s: no faults, %s: %s.\n", name(file.Path), counted(uint64(len(file.Jobs)), "job", "jobs"), strings.Join(file.Names(), ", "))
}

type configShow struct {
	file jobFile
	json bool
}

func (o *configShow) AddFlags(f *pflag.FlagSet) {
	o.file.addTo(f)
	f.BoolVar(&o.json, "json", false, "print one JSON object a value")
}

// settingObject is one value of a key.
type settingObject struct {
	Job   string `json:"job"`
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"` // job, defaults, built in
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// Run lists the values.
func (o *configShow) Run(ctx context.Context, a *app, args []string) error {
	file, err := o.file.load(ctx, a)
	if err != nil {
		return err
	}
	job, err := jobNamed(file, args[0])
	if err != nil {
		return err
	}
	rows := [][]string{{"KEY", "VALUE", "FROM"}}
	for _, s := range settingsOf(file, job) {
		if o.json {
			if err := a.printJSON("setting", s); err != nil {
				return err
			}
		}
		from := s.From
		if s.Line > 0 {
			from = fmt.Sprintf("%s:%d", name(s.File), s.Line)
			if s.From == fromDefaults {
				from += " [defaults]"
			}
		}
		rows = append(rows, []string{s.Key, name(s.Value), from})
	}
	if o.json {
		return nil
	}
	return a.printf("%s", table(rows))
}

const (
	fromJob      = "job"
	fromDefaults = "defaults"
	fromProgram  = "built in"
)

// settingsOf returns all values of a job, those of the program too, in the order of the schema.
func settingsOf(file *config.File, j *config.Job) (list []settingObject) {
	for _, section := range jobSchema() {
		if !j.Has(section.Name) {
			continue
		}
		for _, key := range section.Keys {
			s := settingObject{Job: j.Name, Key: key.Name}
			if section.Name != "" {
				s.Key = section.Name + "." + key.Name
			}
			set := j.Get(section.Name, key.Name)
			if set == nil {
				if s.Value = builtIn(section.Name, key.Name); s.Value != "" {
					s.From = fromProgram
					list = append(list, s)
				}
				continue
			}
			for _, v := range set.Values {
				s.Value, s.From, s.File, s.Line = v.Text, fromJob, file.Path, v.Line
				if v.IsDefault {
					s.From = fromDefaults
				}
				list = append(list, s)
			}
		}
	}
	return list
}

// builtIn returns the value of a key that a file does not have; "": none.
func builtIn(section, key string) string {
	flag := flagOf(key)
	if section == "" && unattended[flag] != "" {
		return unattended[flag]
	}
	for i := range jobSteps {
		if jobSteps[i].section != section {
			continue
		}
		f := flagSet(jobSteps[i].flags).Lookup(flag)
		if f != nil && !slices.Contains([]string{"false", "0", "0s", "0%", "[]"}, f.DefValue) {
			return f.DefValue
		}
	}
	return ""
}

type configExample struct{}

func (*configExample) AddFlags(*pflag.FlagSet) {}

// Run prints the example.
func (*configExample) Run(_ context.Context, a *app, _ []string) error {
	return a.printf("%s", exampleFile())
}

// exampleFile is a job file with two jobs, and all keys as comments.
func exampleFile() string {
	var b strings.Builder
	b.WriteString(`# Jobs of snapcopy: ~/.config/snapcopy/config.toml, or /etc/snapcopy.toml. "snapcopy config check" checks this file.
# Only its owner may be able to write to it and to its folder.

[defaults]                     # for all jobs
lock_wait = "10m"              # wait while another process writes to the archive
exclude = ["*.tmp", ".cache/"] # as in .gitignore
prune = { keep_daily = 7, keep_weekly = 5, keep_monthly = 12 }
verify = { budget = "5%" }     # of the stored files, in turn

[job.etc]
source = "/etc"
archive = "/backup/etc"
prune = { keep_daily = 30 }    # besides the weeks and months of the defaults
verify = false                 # leaves out that step

[job.home]
source = "/home"
archive = "/backup/home"       # the first time: snapcopy snapshot /home /backup/home

# All keys follow, as keys of this job; most can be in [defaults], too. For a key with a list there is one with _also at
# its end, which adds to the list of the defaults.
`)
	for i, section := range jobSchema() {
		if section.Name != "" {
			fmt.Fprintf(&b, "\n# The flags of \"snapcopy %[1]s\"; with a key the line of the table is needed, too.\n#[job.home.%[1]s]\n", section.Name)
		}
		flags := flagSet(func(f *pflag.FlagSet) {
			new(lockWait).addTo(f)
			jobSteps[i].flags(f)
		})
		for _, key := range section.Keys {
			if f := flags.Lookup(flagOf(key.Name)); f != nil {
				what, usage := pflag.UnquoteUsage(f)
				fmt.Fprintf(&b, "#\n# %s\n#%s = %s\n", inWords(usage), key.Name, exampleValue(section.Name, &key, what))
			}
		}
	}
	return b.String()
}

// inWords is the help of a flag in the words of a file.
func inWords(usage string) string {
	usage = strings.ReplaceAll(usage, " (can be repeated)", "")
	return flagWord.ReplaceAllStringFunc(usage, keyOfWord)
}

// exampleTexts are values for the words by which the help of flags calls them, or for the keys themselves.
var exampleTexts = map[string]string{
	"N": "7", "DURATION": "30d", "SIZE": "1GiB", "SHARE": "5%", "AMOUNT": "10%", "ZONE": "Europe/Berlin", "LEVEL": "verbose", "GROUP": "source",
	"TIME": "5s", "PATTERN": "*.tmp", "NAME": ".nobackup", "FILE": "/etc/snapcopy.exclude", "DIR": "/mnt/home",
	"log": "/var/log/snapcopy/home_{time}.log", "lock_wait": "10m", "time_limit": "4h", "budget": "30m", "whole_in": "30d", "spot": "1%",
	"keep_free_inodes": "5%",
}

// exampleValue is a value of a key, as a file has it.
func exampleValue(section string, key *config.Key, what string) string {
	text := cmp.Or(exampleTexts[key.Name], builtIn(section, key.Name), exampleTexts[what])
	switch key.Kind {
	case config.Bool:
		return cmp.Or(builtIn(section, key.Name), "true")
	case config.Integer:
		return cmp.Or(builtIn(section, key.Name), "2")
	case config.List:
		return fmt.Sprintf("[%q]", text)
	}
	if _, err := strconv.Atoi(text); err == nil && key.Kind == config.Value {
		return text
	}
	return strconv.Quote(text)
}
