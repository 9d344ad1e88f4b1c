package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

// A run ends as well as it can when who reads its output has gone, and a command that only prints ends as others do.
func TestReaderOfTheOutputGone(t *testing.T) {
	t.Parallel()
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	for _, args := range [][]string{
		{"snapshot", "-v", "source", "archive"}, {"verify", "archive"}, {"prune", "--keep-last", "1", "archive"},
		{"restore", "archive", "--to", "target", "-v"}, {"pin", "archive"}, {"index", "rebuild", "archive"},
		{"snapshot", "--json", "source", "archive"}, {"ls", "archive"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("snapcopy", args...)
		cmd.Dir = c.dir
		var told bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &told
		err = cmd.Run()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		state, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if killed := state.Signaled() && state.Signal() == syscall.SIGPIPE; killed != (args[0] == "ls") {
			t.Errorf("%q: %v", args, err)
		} else if !killed && (err != nil || strings.Contains(told.String(), "pipe")) {
			t.Errorf("%q: %v: %s", args, err, &told)
		}
	}
	if status, out := c.run("verify", "archive"); status != 0 {
		t.Errorf("verify ends with %d: %s", status, out)
	}
}

// Whatever a command waits for, the signals that ask it to end do end it; a hangup is one of them, unless nohup says
// otherwise.
func TestSignalsEndWaiting(t *testing.T) {
	t.Parallel()
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	for _, fifo := range []string{"patterns", "log"} {
		if err := syscall.Mkfifo(c.path(fifo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, waitsFor := range []string{"patterns", "log"} {
			cmd := exec.Command("snapcopy", "snapshot", "--exclude-from", "patterns", "--log", "log", "source", "archive")
			cmd.Dir = c.dir
			var told bytes.Buffer
			cmd.Stderr = &told
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			patterns, err := os.OpenFile(c.path("patterns"), os.O_WRONLY, 0) // from here on it listens to signals
			if err != nil {
				t.Fatal(err)
			}
			if waitsFor == "log" {
				if err := patterns.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != statusInterrupted {
				t.Errorf("%v while waiting for the %s: %v: %s", signal, waitsFor, err, &told)
			}
			if waitsFor != "log" {
				if err := patterns.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// SIGUSR1 asks a command for a line of progress, however little it is to show, and changes nothing else.
func TestAskedForProgress(t *testing.T) {
	t.Parallel()
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	c.must("snapshot", "-q", "source", "archive")
	if err := syscall.Mkfifo(c.path("patterns"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"snapshot", "source", "archive"},
		{"snapshot", "-q", "--progress=never", "--json", "--exclude-from", "patterns", "source", "archive"},
		{"prune", "--progress=never", "archive", "--keep-last", "1"},
	} {
		arch, err := archive.Open(c.path("archive"))
		if err != nil {
			t.Fatal(err)
		}
		lock, err := arch.Lock()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("snapcopy", append(args, "--lock-wait", "1h")...)
		cmd.Dir = c.dir
		var out bytes.Buffer
		cmd.Stdout = &out
		told, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, answered := bufio.NewScanner(told), ""
		if args[1] == "-q" { // nothing says that it waits
			patterns, err := os.OpenFile(c.path("patterns"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(cmd.Process.Signal(syscall.SIGUSR1), patterns.Close()); err != nil {
				t.Error(err)
			}
		}
		for answered == "" && lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "Waiting up to"):
				if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
					t.Error(err)
				}
			case strings.HasSuffix(line, ": 0:00"):
				answered = line
			default:
				t.Errorf("%q: %s", args, line)
			}
		}
		if answered == "" {
			t.Errorf("%q: no line of progress", args)
		}
		if err := errors.Join(lock.Unlock(), arch.Close()); err != nil {
			t.Error(err)
		}
		for lines.Scan() {
			t.Errorf("%q: then %s", args, lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		for line := range strings.Lines(out.String()) {
			if args[1] == "-q" && !json.Valid([]byte(line)) {
				t.Errorf("%q: %s", args, line)
			}
		}
	}
}

// A hangup that was ignored when the command began, as nohup does, ends nothing.
func TestNohup(t *testing.T) {
	t.Parallel()
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	if err := syscall.Mkfifo(c.path("patterns"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "trap '' HUP; exec snapcopy snapshot -q --exclude-from patterns source archive")
	cmd.Dir = c.dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	patterns, err := os.OpenFile(c.path("patterns"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	if err := patterns.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Whatever call fails, what is told names a path: a mail at night that says "stale file handle" helps nobody.
func TestRefusedCallsAreToldWithAPath(t *testing.T) {
	t.Parallel()
	testtree.Need(t, "strace")
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	c.must("snapshot", "-q", "source", "archive")
	for _, inject := range []string{"statx 2", "statx 5", "openat 5", "fstatfs 1", "syncfs 2", "mkdirat 2", "linkat 2", "flock 2",
		"getdents64 8", "utimensat 2", "unlinkat 1", "fsync 3"} {
		call, when, _ := strings.Cut(inject, " ")
		cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-e",
			"inject="+call+":error=ESTALE:when="+when, "snapcopy", "snapshot", "-q", c.path("source"), c.path("archive"))
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "PTRACE") || strings.Contains(string(out), "ptrace") {
			t.Skipf("strace may not trace here: %s", out)
		}
		for line := range strings.Lines(string(out)) {
			isEntry := strings.HasPrefix(line, "  ") // of the list of those that could not be stored
			if strings.Contains(line, "stale file handle") && !isEntry && !strings.Contains(line, c.dir) {
				t.Errorf("%s: %v: %s", inject, err, line)
			}
		}
	}
}
