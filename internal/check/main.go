// Check builds and checks everything in this repository, on a machine of any kind:
//
//	go run ./internal/check
//
// First it looks for the tools that the checks need, and says in one paragraph which are missing and how to install
// them. Then it goes on without them; its last lines count the checks left out, by reason. With -strict it stops if a
// tool is missing, for machines on which every check has to run.
//
// It uses only Go's standard library, so that it can report a missing tool before anything is fetched.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A step is one part of the check. It prints its findings and counts them in the tally.
type step struct {
	name string
	run  func(c *check)
}

var steps = []step{
	{"build", (*check).build},
	{"format", (*check).format},
	{"vet", (*check).vet},
	{"staticcheck", (*check).staticcheck},
	{"cross", (*check).cross},
	{"tests", (*check).tests},
	{"fuzz", (*check).fuzz},
	{"torture", (*check).torture},
}

// everything is what is checked unless packages are named.
var everything = []string{"./..."}

// stepsVariable lets CI shorten a run of the very command in README.md.
const stepsVariable = "SNAPCOPY_CHECK_STEPS"

// check is the state of one run.
type check struct {
	strict  bool
	verbose bool          // names each test that is skipped
	tries   int           // of each fuzz target
	timeout time.Duration // of the tests of one package
	budget  time.Duration // of torture
	filter  string        // tests to run
	race    bool
	pkgs    []string
	tally   tally
}

func main() {
	var c check
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	only := flag.String("only", cmp.Or(os.Getenv(stepsVariable), strings.Join(names, ",")),
		"steps to do; the variable "+stepsVariable+" gives another default")
	packages := flag.Bool("packages", false, "list the Debian packages that the checks use, and do nothing")
	flag.BoolVar(&c.strict, "strict", false, "fail if anything that can be installed is missing")
	flag.BoolVar(&c.verbose, "v", false, "name each test that is skipped")
	flag.BoolVar(&c.race, "race", true, "run the tests with the race detector, where there is a C compiler")
	flag.StringVar(&c.filter, "run", "", "run only the tests that match, as go test takes it")
	// A number of tries, not a time: at the end of a time, go test may take a slow try for a failure.
	flag.IntVar(&c.tries, "tries", 2000, "of each fuzz target")
	// Generous: a test that hangs has to be found, and a busy machine is no failure.
	flag.DurationVar(&c.timeout, "timeout", time.Hour, "of the tests of one package")
	flag.DurationVar(&c.budget, "torture", 30*time.Second, "how long the program is killed, failed and cut off from power")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./internal/check [FLAG...] [PACKAGE...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if c.pkgs = flag.Args(); len(c.pkgs) == 0 {
		c.pkgs = everything
	}
	if *packages {
		fmt.Println(strings.Join(debianPackages(), "\n"))
		return
	}
	chosen := strings.Split(*only, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			fmt.Fprintf(os.Stderr, "check: there is no step %q; there are %s\n", name, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	if !c.look(chosen) {
		os.Exit(1)
	}
	for _, s := range steps {
		if slices.Contains(chosen, s.name) {
			s.run(&c)
		}
	}
	c.tally.print(os.Stdout)
	if c.tally.failed > 0 {
		os.Exit(1)
	}
}
