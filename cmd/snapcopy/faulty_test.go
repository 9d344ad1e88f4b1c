package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// canTrace reports whether system calls can be made to fail here.
var canTrace = sync.OnceValue(func() bool {
	return exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "inject=getppid:error=EIO", "true").Run() == nil
})

// canMount reports whether what is mounted can be changed for one process.
var canMount = sync.OnceValue(func() bool {
	return exec.Command("unshare", "-m", "umount", "-l", "/proc").Run() == nil
})

// cmdFaulty is exits with a system call that fails: faulty STATUS FAULT NAME ARG... FAULT is what strace(1) injects;
// only calls that have something to do with NAME fail, "-" stands for all. strace counts a `when=` for each thread: a
// later call than the first is named by its NAME.
func cmdFaulty(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	call, _, _ := strings.Cut(args[1], ":")
	trace := []string{"-f", "-qq", "-o", os.DevNull, "-e", "trace=" + call, "-e", "inject=" + args[1]}
	if args[2] != "-" {
		trace = append(trace, "-P", args[2])
	}
	got := 0
	if err := ts.Exec("strace", append(append(trace, "snapcopy"), args[3:]...)...); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if (got == want) == neg {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
