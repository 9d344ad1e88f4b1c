package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/jsonfile"
	"snapcopy/internal/tree"
	"snapcopy/restore"
	"snapcopy/restore/instant"
)

// helpers are the commands that scripts can execute.
var helpers = map[string]func(){"snapcopy": main}

// raceEnv keeps the race detector from sleeping a second at the end of each process.
const raceEnv = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", raceEnv)
	testscript.Main(m, helpers)
}

func TestScripts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the scripts look at what Linux file systems hold")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "Europe/Vienna")
			e.Setenv("SNAPCOPY_NOW", "2026-11-23T02:00:00Z")
			e.Setenv("GORACE", raceEnv)
			host, err := os.Hostname()
			src := archive.SourceID{Host: host, Path: filepath.Join(e.WorkDir, "src")}
			e.Setenv("MIRROR", filepath.Join(".snapcopy", archive.WorkDir, archive.UnfinishedName(src), "tree")) // of a run of src
			return err
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "trace":
				return canTrace(), nil
			case "mounts":
				return canMount(), nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   cmdExits,
			"odd":     cmdOdd,
			"flip":    cmdFlip,
			"hold":    cmdHold,
			"ours":    cmdOurs,
			"count":   cmdCount,
			"utc":     cmdUTC,
			"hostile": cmdHostile,
			"faulty":  cmdFaulty,
			"socket":  cmdSocket,

			"unprivileged": cmdUnprivileged,
		},
	})
}

// cmdExits runs snapcopy and compares its exit status: exits STATUS ARG...
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if user := ts.Getenv("RUN_AS"); user != "" {
		drop := []string{"--reuid", user, "--regid", user, "--clear-groups", "snapcopy"}
		err = ts.Exec("setpriv", append(drop, args[1:]...)...)
	} else {
		err = ts.Exec("snapcopy", args[1:]...)
	}
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if (got == want) == neg {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// cmdOdd makes files with names that cannot be written in a script: odd DIR.
func cmdOdd(ts *testscript.TestScript, _ bool, args []string) {
	names := []string{"new\nline", "esc\x1b[31m", "bad\xff", "back\\slash", " lead", "cr\r", "\"quoted\"", "-n"}
	for _, n := range names {
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), n), []byte(n), 0o644))
	}
}

// cmdFlip changes one bit in the middle of a file and leaves its times as they were: flip FILE.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	content, err := os.ReadFile(path)
	ts.Check(err)
	content[min(len(content)/2, 60)] ^= 4 // in a catalog: in the first records
	ts.Check(os.WriteFile(path, content, 0o600))
	ts.Check(os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// cmdHold locks an archive until the script ends, or for some time: hold ARCHIVE [DURATION].
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	a, err := archive.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	lock, err := a.Lock()
	ts.Check(err)
	release := sync.OnceValue(func() error { return errors.Join(lock.Unlock(), a.Close()) })
	if len(args) > 1 {
		after, err := time.ParseDuration(args[1])
		ts.Check(err)
		time.AfterFunc(after, func() { _ = release() }) // the error is checked at the end
	}
	ts.Defer(func() { ts.Check(release()) })
}

// cmdOurs copies a note into the .snapcopy of an archive, as a note of that archive: ours NOTE ARCHIVE/.snapcopy/NAME.
func cmdOurs(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[1])
	a, err := archive.Open(filepath.Dir(filepath.Dir(path)))
	ts.Check(err)
	note := make(map[string]any)
	ts.Check(errors.Join(json.Unmarshal([]byte(ts.ReadFile(args[0])), &note), a.Close()))
	note["archive_id"] = a.Info.ID
	ts.Check(jsonfile.Write(path, note))
}

// cmdUnprivileged makes exits run snapcopy as a user without privileges, who owns what the script has made so far. Such
// a user has nothing to do if the tests are run by one.
func cmdUnprivileged(ts *testscript.TestScript, _ bool, _ []string) {
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	work := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(work, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}))
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	for _, own := range []string{work, filepath.Dir(work), bin, filepath.Dir(bin)} { // made by the test itself
		ts.Check(os.Chmod(own, 0o755))
	}
	ts.Setenv("RUN_AS", strconv.Itoa(nobody))
}

// cmdCount counts the lines of the last output: count N.
func cmdCount(ts *testscript.TestScript, _ bool, args []string) {
	if n := strings.Count(ts.ReadFile("stdout"), "\n"); strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d lines, want %s", n, args[0])
	}
}

// cmdSocket makes a socket, of which nobody listens: socket FILE.
func cmdSocket(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0])})
	ts.Check(err)
	l.SetUnlinkOnClose(false)
	ts.Check(l.Close())
}

// cmdUTC sets the clock that snapcopy sees: utc 2026-11-23T02:00:00.
func cmdUTC(ts *testscript.TestScript, _ bool, args []string) { ts.Setenv("SNAPCOPY_NOW", args[0]+"Z") }

// cmdHostile makes sure that the last output holds nothing that could play with a terminal.
func cmdHostile(ts *testscript.TestScript, _ bool, _ []string) {
	for _, stream := range []string{"stdout", "stderr"} {
		for line := range strings.Lines(ts.ReadFile(stream)) {
			if line = strings.TrimSuffix(line, "\n"); printable(line) != line {
				ts.Fatalf("%s is not safe to print: %q", stream, line)
			}
		}
	}
}

// testApp returns an app that writes into two buffers.
func testApp(t *testing.T) (a *app, out, errOut *bytes.Buffer) {
	t.Helper()
	a, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	a.term.out.Reset(out)
	a.term.errOut = errOut
	return a, out, errOut
}

func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(interrupted{os.Interrupt})
	a, _, errOut := testApp(t)
	root := newRoot(a)
	arch := filepath.Join(t.TempDir(), "archive")
	root.SetArgs([]string{"snapshot", dir, arch})
	status := finish(a, root.ExecuteContext(ctx))
	if status != statusInterrupted {
		t.Errorf("exit status %d, want %d", status, statusInterrupted)
	}
	want := "snapcopy: archive " + arch + ": interrupted: nothing was published, and every earlier snapshot is as it was\n"
	if got := errOut.String(); got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

func TestOutputFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer func() {
		if err := full.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, _, errOut := testApp(t)
	a.term.out.Reset(full)
	root := newRoot(a)
	root.SetArgs([]string{"version"})
	if status := finish(a, root.ExecuteContext(context.Background())); status == statusDone {
		t.Error("an output that could not be written gave exit status 0")
	}
	if !strings.Contains(errOut.String(), "write output") {
		t.Errorf("stderr %q does not tell", errOut)
	}
}

func TestStatusOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, statusDone},
		{errors.New("x"), statusFailed},
		{told{statusIncomplete}, statusIncomplete},
		{fmt.Errorf("a: %w", index.ErrDamaged), statusDamage},
		{fmt.Errorf("a: %w", tree.ErrDamaged), statusDamage},
		{fmt.Errorf("a: %w", index.ErrDamagedData), statusDamage},
		{fmt.Errorf("a: %w", archive.ErrLocked), statusLocked},
		{fmt.Errorf("a: %w", instant.ErrLocked), statusLocked},
		{wrongUsage("x"), statusUsage},
		{errors.Join(context.Canceled, errors.New("x")), statusInterrupted},
		{interrupted{os.Interrupt}, statusInterrupted},
	} {
		if got := statusOf(c.err); got != c.want {
			t.Errorf("statusOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// Guards: the way out of a damaged catalog is not offered for a damaged stored file.
func TestDamageHints(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("a: %w", index.ErrDamaged), true},
		{fmt.Errorf("a: %w", tree.ErrDamaged), false},
		{fmt.Errorf("a: %w", index.ErrDamagedData), false},
	} {
		if hint, next := hintFor(c.err), remedy(c.err, "/a", "s"); (hint != "") != c.want || (next != "") != c.want {
			t.Errorf("%v: hint %q, next step %q", c.err, hint, next)
		}
	}
}

// Guards: too little room is told of in sizes that people read, with a way out.
func TestSpaceError(t *testing.T) {
	err := spaceError{&restore.SpaceError{Target: "/srv", Free: 3 << 20, Need: 5 << 30}}
	const want = "/srv has 3.0 MiB free, and the files to be restored take 5.0 GiB"
	if got := err.Error(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := statusOf(err); got != statusNoSpace {
		t.Errorf("status %d", got)
	}
	if hint := hintFor(err); !strings.Contains(hint, "--ignore-space") {
		t.Errorf("hint %q", hint)
	}
}

// Guards: several errors that were given more words are still a line each.
func TestErrorLinesWrapped(t *testing.T) {
	several := errors.Join(errors.New("one"), errors.New("two\x1b"))
	got := errorLines(fmt.Errorf("empty %s: %w", "d", fmt.Errorf("%w\nand 7 more", several)))
	want := []string{"empty d: one", `empty d: two\x1b`, "empty d: and 7 more"}
	if !slices.Equal(got, want) {
		t.Errorf("errorLines = %q, want %q", got, want)
	}
}

func TestErrorLines(t *testing.T) {
	evil := errors.New("open \x1b[2J\nsnapcopy: fine: no such file")
	got := errorLines(errors.Join(errors.New("one"), fmt.Errorf("two: %w", evil)))
	want := []string{"one", `two: open \x1b[2J\nsnapcopy: fine: no such file`}
	if !slices.Equal(got, want) {
		t.Errorf("errorLines = %q, want %q", got, want)
	}
}

// Each command's help has an example and lists the exit statuses.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{
		{"snapshot"}, {"list"}, {"ls"}, {"cat"}, {"diff"}, {"explain"}, {"versions"}, {"find"}, {"restore"}, {"verify"},
		{"remove"}, {"prune"}, {"pin"}, {"unpin"}, {"catalog"}, {"catalog", "rebuild"}, {"repair"}, {"index"}, {"index", "rebuild"}, {"completion"}, {"version"}, {},
		{"instant"}, {"settle"}, {"tar"}, {"stats"}, {"status"}, {"acknowledge"}, {"forget-path"},
		{"run"}, {"config"}, {"config", "check"}, {"config", "example"}, {"config", "show"},
	} {
		a, out, _ := testApp(t)
		root := newRoot(a)
		root.SetArgs(append(args, "--help"))
		if status := finish(a, root.ExecuteContext(context.Background())); status != statusDone {
			t.Errorf("%v --help: exit status %d", args, status)
		}
		for _, want := range []string{"Examples:\n", "Exit status:\n  0    done\n", "  64   wrong usage\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v --help lacks %q", args, want)
			}
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 121 {
				t.Errorf("%v --help has a long line: %s", args, line)
			}
		}
	}
}
