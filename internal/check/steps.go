package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The linter's version is pinned: a new release must not turn an old commit red.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// do runs a command and counts it as one step, which fails if the command fails, or if it prints anything although
// quiet is expected.
func (c *check) do(name string, env []string, args ...string) {
	began := time.Now()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	c.done(name, began, out, err)
}

// done reports on a step.
func (c *check) done(name string, began time.Time, out []byte, err error) {
	if err != nil {
		fmt.Printf("%sFAIL\t%s: %v\n", out, name, err)
		c.tally.fail(name)
		return
	}
	fmt.Printf("ok  \t%s\t%.1fs\n", name, time.Since(began).Seconds())
	c.tally.passed++
}

func (c *check) build() {
	// The result is discarded and needs no version. -buildvcs=false also makes the owner of the repository irrelevant.
	c.do("build", nil, append([]string{"go", "build", "-buildvcs=false"}, c.pkgs...)...)
}

func (c *check) vet() { c.do("vet", nil, append([]string{"go", "vet"}, c.pkgs...)...) }

func (c *check) format() {
	began := time.Now()
	gofmt := "gofmt"
	if root, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		if path := filepath.Join(strings.TrimSpace(string(root)), "bin", "gofmt"); exists(path) {
			gofmt = path // the one of this Go, whatever is in PATH
		}
	}
	out, err := exec.Command(gofmt, "-l", ".").CombinedOutput()
	if err == nil && len(out) > 0 {
		err = fmt.Errorf("not formatted as gofmt does")
	}
	c.done("gofmt", began, out, err)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// staticcheck runs the linter, or skips it if it cannot be fetched.
func (c *check) staticcheck() {
	out, err := exec.Command("go", "run", staticcheck, "-version").CombinedOutput()
	if err != nil && !c.strict {
		why := "staticcheck cannot be fetched or built"
		fmt.Printf("%sskip\tstaticcheck: it cannot be fetched or built on this machine\n", out)
		c.tally.skip(why)
		return
	}
	c.do("staticcheck", nil, append([]string{"go", "run", staticcheck}, c.pkgs...)...)
}

// cross compiles and vets for the other platforms.
func (c *check) cross() {
	for _, system := range []string{"linux", "windows", "darwin"} {
		env := []string{"GOOS=" + system, "CGO_ENABLED=0"}
		c.do("build for "+system, env, append([]string{"go", "build", "-buildvcs=false"}, c.pkgs...)...)
		c.do("vet for "+system, env, append([]string{"go", "vet"}, c.pkgs...)...)
	}
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzz runs every fuzz target for a short while.
func (c *check) fuzz() {
	format := `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}`
	list, err := exec.Command("go", append([]string{"list", "-f", format}, c.pkgs...)...).Output()
	if err != nil {
		c.done("list of the fuzz targets", time.Now(), list, err)
		return
	}
	for line := range strings.Lines(string(list)) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			c.done("fuzz "+pkg, time.Now(), nil, err)
			continue
		}
		for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
			target := string(bytes.Clone(m[1]))
			c.do("fuzz "+pkg+" "+target, nil, "go", "test", "-run", "^$", "-fuzz", "^"+target+"$",
				"-fuzztime", fmt.Sprintf("%dx", c.tries), "-fuzzminimizetime", "5x", pkg)
		}
	}
}

// torture lets the program die and fail and lose power for a short while, in the same trials each time: a check of a change
// must not fail for what the change has not touched. torture prints which trials this machine cannot do.
func (c *check) torture() {
	began := time.Now()
	out, err := exec.Command("go", "run", "-buildvcs=false", "./bench/torture", "-seed", "1",
		"-budget", c.budget.String()).CombinedOutput()
	fmt.Printf("%s", out)
	reason, skipped := skippedTorture(out)
	if skipped && err != nil {
		c.tally.skip(reason)
		return
	}
	c.done("torture", began, nil, err)
}

// skippedTorture returns the reason why torture did nothing, if so.
func skippedTorture(out []byte) (reason string, skipped bool) {
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "skip\teverything: "); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}
