package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"snapcopy/internal/archive"
)

// formCommands returns every command that takes an ARCHIVE.
func formCommands(c *cobra.Command) (list []*cobra.Command) {
	if slices.ContainsFunc(argWords(c), func(w string) bool { return strings.Contains(w, "ARCHIVE") }) && c.RunE != nil {
		list = append(list, c)
	}
	for _, sub := range c.Commands() {
		list = append(list, formCommands(sub)...)
	}
	return list
}

// formArchive makes an archive with two snapshots and a name that needs quotes in a shell.
func formArchive(t *testing.T) (dir, arch, first string) {
	dir = t.TempDir()
	arch = filepath.Join(dir, "it's an archive")
	if err := os.MkdirAll(filepath.Join(dir, "src", "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, now := range []string{"2026-11-23T02:00:00Z", "2026-11-24T02:00:00Z"} {
		t.Setenv(clockVariable, now)
		if err := os.WriteFile(filepath.Join(dir, "src", "d", "-f"), []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		if status := run([]string{"snapshot", "-q", filepath.Join(dir, "src"), arch}); status != statusDone {
			t.Fatalf("snapshot ended with %d", status)
		}
	}
	return dir, arch, "2026-11-23T020000Z"
}

// accepts carries out the checks of the arguments of a command line, and nothing else.
func accepts(t *testing.T, words []string) (c *cobra.Command, args []string, err error) {
	t.Helper()
	a, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	a.typed = words
	c, rest, err := newRoot(a).Find(words)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	return c, c.Flags().Args(), c.Args(c, c.Flags().Args())
}

// shellWords splits a command as a shell does.
func shellWords(t *testing.T, command string) []string {
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// TestWrongForms gives every command its arguments in each form of other commands. The answer is wrong usage, with a
// command that is right.
func TestWrongForms(t *testing.T) {
	dir, arch, first := formArchive(t)
	a, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"PATH": "d/-f", "[PATH]": "d", "[PATH...]": "d", "PATTERN": "*", "[PATTERN...]": "*", "MOUNTPOINT": filepath.Join(dir, "mnt"),
		"SOURCE": filepath.Join(dir, "src"), "SNAPSHOT": "latest", "[SNAPSHOT...]": "latest", "A": first, "B": "latest", "[SNAPSHOT": "latest"}
	forms := []string{arch + "@" + first, arch + "/" + first, arch + "/latest", arch + "/latest/", arch + "@latest~1", arch + "@latest/d/-f",
		arch + "/" + first + "/d/-f", arch + "/.snapcopy"}
	commands := formCommands(newRoot(a))
	if len(commands) < 20 {
		t.Fatalf("only %d commands take an archive", len(commands))
	}
	for _, c := range commands {
		words := argWords(c)
		for _, form := range forms {
			for _, full := range []bool{false, true} { // with the arguments that can be left out
				line := strings.Fields(c.CommandPath())[1:]
				path := false
				for _, w := range words {
					path = path || strings.Contains(w, "PATH")
					switch {
					case strings.Contains(w, "ARCHIVE"):
						line = append(line, form)
					case full || !strings.HasPrefix(w, "["):
						line = append(line, other[w])
					}
				}
				right := strings.Contains(strings.Join(words, " "), "@SNAPSHOT") && !strings.Contains(form, "d/-f") && !strings.Contains(form, ".snapcopy")
				if c.Name() == "snapshot" && strings.Contains(form, "d/-f") || c.Name() == "snapshot" && strings.HasSuffix(form, ".snapcopy") {
					continue // the archive judges it
				}
				checkWrongForm(t, line, arch, right)
			}
		}
	}
}

// checkWrongForm checks the answer to one command line, which is right if right is set.
func checkWrongForm(t *testing.T, line []string, arch string, right bool) {
	t.Helper()
	_, _, err := accepts(t, line)
	if right {
		if err != nil {
			t.Errorf("%q is refused: %v", line, err)
		}
		return
	}
	var usage *usageError
	if !errors.As(err, &usage) || statusOf(err) != statusUsage {
		t.Errorf("%q: %v, want wrong usage", line, err)
		return
	}
	rest, ok := strings.CutPrefix(usage.hint, "type `snapcopy ")
	command, _, closed := strings.Cut(rest, "`")
	if !ok || !closed {
		t.Errorf("%q: %v; no command in the hint %q", line, err, usage.hint)
		return
	}
	c, args, err := accepts(t, shellWords(t, command))
	if err != nil {
		t.Errorf("%q: the hint is refused, too: %s: %v", line, command, err)
	}
	if !slices.ContainsFunc(args, func(s string) bool { return s == arch || strings.HasPrefix(s, arch+"@") }) {
		t.Errorf("%q: %s does not name the archive", line, command)
	}
	if testing.Verbose() {
		t.Logf("%-60s → %s (%s)", strings.ReplaceAll(strings.Join(line, " "), arch, "A"), strings.ReplaceAll(command, shellWord(arch), "A"), c.Name())
	}
}

// TestWrongFormOf looks at single answers.
func TestWrongFormOf(t *testing.T) {
	dir, arch, first := formArchive(t)
	t.Chdir(dir)
	if err := os.Rename(arch, "arch"); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open("arch")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Readers.Add(archive.NewReader(first, filepath.Join(dir, "mounted"), time.Now()))
	if err := errors.Join(err, a.Close(), os.Mkdir("arch@new", 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"list arch@latest", "list arch"},
		{"list arch latest", "list arch"},
		{"stats --json arch@latest~1", "stats --json arch 'latest~1'"},
		{"stats arch arch/latest", "stats arch latest"},
		{"remove arch/" + first + "/ --yes", "remove arch " + first + " --yes"},
		{"remove arch arch@latest latest~1", "remove arch latest 'latest~1'"},
		{"diff arch@latest~1 arch@latest", "diff arch 'latest~1' latest"},
		{"diff arch/" + first + " arch/latest", "diff arch " + first + " latest"},
		{"diff --summary arch/latest/d arch@latest/d", "diff --summary arch latest latest d"},
		{"diff arch latest~1 arch@latest d", "diff arch 'latest~1' latest d"},
		{"diff arch arch/latest", "diff arch latest latest"},
		{"diff arch@latest latest~1 latest d", "diff arch 'latest~1' latest d"},
		{"diff arch/.snapcopy latest~1 latest", "diff arch 'latest~1' latest"},
		{"forget-path arch/latest/d d", "forget-path arch d"},
		{"diff arch@2026-11-23", "diff arch 2026-11-23 latest"},
		{"diff arch@latest~1 latest", "diff arch 'latest~1' latest"},
		{"versions arch/latest/d/-f", "versions arch d/-f"},
		{"versions arch/latest/d -- -f", "versions arch d/-f --"},
		{"find arch@latest *.txt", "find arch '*.txt'"},
		{"cat arch/latest/d/-f", "cat arch@latest d/-f"},
		{"cat arch@latest/d/-f", "cat arch@latest d/-f"},
		{"pin arch latest --label x", "pin arch@latest --label x"},
		{"verify arch arch/latest", "verify arch@latest"},
		{"catalog rebuild arch latest", "catalog rebuild arch@latest"},
		{"instant arch latest mnt", "instant arch@latest mnt"},
		{"snapshot src arch@latest", "snapshot src arch"},
		{"snapshot src arch/latest -n", "snapshot src arch -n"},
		{"snapshot src arch@host", "snapshot src arch"},
		{"snapshot src arch@", "snapshot src arch"},
		{"settle arch@latest mnt", "settle mnt"},
		{"settle arch", "settle " + filepath.Join(dir, "mounted")},
		{"settle arch/latest/d/-f", "settle " + filepath.Join(dir, "mounted")},
	} {
		_, _, err := accepts(t, strings.Fields(c.line))
		usage := new(usageError)
		if !errors.As(err, &usage) || !strings.HasPrefix(usage.hint, "type `snapcopy "+c.want+"`") {
			t.Errorf("%s: %v, hint %q, want %s", c.line, err, usage.hint, c.want)
		}
	}
	for _, line := range []string{"snapshot src arch", "snapshot src arch@new", "snapshot src @", "snapshot src other@", "snapshot src other@host", "settle mnt", "diff arch src", "diff arch@latest src d", "diff arch latest~1 latest d",
		"versions arch arch/latest/d", "ls arch/latest d", "restore arch@latest -- -f", "remove arch latest", "list none@latest", "snapshot arch/latest/d arch"} {
		if _, _, err := accepts(t, strings.Fields(line)); err != nil {
			t.Errorf("%s is refused: %v", line, err)
		}
	}
}

// TestWrongFormsChangeNothing carries commands that write out, in a wrong form.
func TestWrongFormsChangeNothing(t *testing.T) {
	_, arch, first := formArchive(t)
	list := func() []byte {
		out, err := exec.Command("find", arch, "-printf", "%p %i %s %C@\\n").Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := list()
	for _, line := range [][]string{{"remove", "--yes", arch + "@" + first}, {"prune", "--keep-last", "1", arch + "/latest"},
		{"forget-path", "--yes", arch + "/latest/d"}, {"repair", arch + "@latest"}, {"index", "rebuild", arch + "@latest"}, {"pin", arch, first}} {
		if status := run(line); status != statusUsage {
			t.Errorf("%q ended with %d", line, status)
		}
	}
	if after := list(); !bytes.Equal(before, after) {
		t.Errorf("the archive has changed from\n%s\nto\n%s", before, after)
	}
}
