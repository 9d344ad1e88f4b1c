package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"snapcopy/internal/config"
)

// Guards: every flag of the commands of a job is a key, or has a reason why not; no reason is left of a flag that is gone.
func TestEveryFlagIsAKey(t *testing.T) {
	schema := jobSchema()
	for i, step := range jobSteps {
		keys := make(map[string]bool)
		for _, k := range schema[i].Keys {
			if keys[k.Name] {
				t.Errorf("%s.%s is a key twice", step.section, k.Name)
			}
			keys[k.Name] = true
		}
		flags := flagSet(step.flags)
		flags.VisitAll(func(f *pflag.Flag) {
			if keys[keyOf(f.Name)] == (step.noKeys[f.Name] != "") {
				t.Errorf("--%s is both or neither: a key of %q, and a flag that is none", f.Name, step.section)
			}
		})
		for flag := range step.noKeys {
			if flags.Lookup(flag) == nil {
				t.Errorf("there is a reason why --%s is no key, and no such flag", flag)
			}
		}
	}
}

// Guards: the example has every key, and is right with any one of them, and with all.
func TestExampleHasEveryKey(t *testing.T) {
	comment := regexp.MustCompile(`^#(\w+ = .*|\[job\..*\])$`)
	parse := func(lines []string) *config.File {
		file, err := config.Parse("example", "/home/ada", []byte(strings.Join(lines, "\n")), jobSchema())
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	lines := strings.Split(exampleFile(), "\n")
	all, header := slices.Clone(lines), -1
	for i, line := range lines {
		parts := comment.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		one := slices.Clone(lines)
		all[i], one[i] = parts[1], parts[1]
		if header >= 0 {
			one[header] = all[header]
		}
		if strings.HasPrefix(parts[1], "[") {
			header = i
		}
		parse(one)
	}
	job, _ := parse(all).Job("home")
	for _, section := range jobSchema() {
		for _, key := range section.Keys {
			if set := job.Get(section.Name, key.Name); set == nil || set.Values[0].IsDefault {
				t.Errorf("the example has no %s %s", section.Name, key.Name)
			}
		}
	}
}
