package main

import (
	"regexp"
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

// Guards: the example has every key, with a value that is right.
func TestExampleHasEveryKey(t *testing.T) {
	_, all, ok := strings.Cut(exampleFile(), "# All keys follow.")
	if !ok {
		t.Fatal("the example has no list of keys")
	}
	all = regexp.MustCompile(`(?m)^# In the table (\w+),.*$`).ReplaceAllString(all, "[defaults.$1]")
	all = regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(all, "$1")
	content := "[job.x]\nsource = \"/x\"\narchive = \"/y\"\n[defaults] # " + all
	file, err := config.Parse("example", "/home/ada", []byte(content), jobSchema())
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range jobSchema() {
		for _, key := range section.Keys {
			if file.Jobs[0].Get(section.Name, key.Name) == nil {
				t.Errorf("the example has no %s %s", section.Name, key.Name)
			}
		}
	}
}
