package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// calls are the system calls that work on files. A call that the kernel or strace does not know is left out.
var calls = strings.Fields(`open openat openat2 creat statx stat lstat fstat newfstatat statfs fstatfs access faccessat
	faccessat2 getdents64 readlink readlinkat read pread64 readv preadv write pwrite64 writev copy_file_range sendfile link
	linkat symlink symlinkat mknod mknodat mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 chmod fchmod
	fchmodat fchmodat2 chown lchown fchown fchownat utimensat setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
	listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr truncate ftruncate fallocate lseek ioctl flock
	fcntl fsync fdatasync syncfs sync_file_range close mount umount2`)

// errnos are the errors that a call is made to return.
var errnos = []string{"EIO", "ENOSPC", "EDQUOT", "EMLINK", "ENOMEM", "EINTR", "EMFILE", "ESTALE"}

// limit is the time that a command may take. It is generous: other programs may be busy.
const limit = 2 * time.Minute

// result has the outcome of a command.
type result struct {
	args   []string
	status int // 128 and the signal, if one has ended it
	output string
	trace  string // the calls that strace was asked for
}

func (r result) String() string {
	return fmt.Sprintf("snapcopy %s: status %d: %s", strings.Join(r.args, " "), r.status, r.output)
}

// command runs a program with more variables in its environment. The program and its children are a process group of their
// own. The error is not about the exit status.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	r := result{args: args, output: strings.TrimSpace(string(out))}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("%s %s did not end: %w\n%s", name, strings.Join(args, " "), context.Cause(ctx), r.output)
	case errors.As(err, &exit):
		ws := exit.Sys().(syscall.WaitStatus)
		if r.status = ws.ExitStatus(); ws.Signaled() {
			r.status = 128 + int(ws.Signal())
		}
		return r, nil
	}
	return r, err
}

// point is a system call of an operation, and the fault that happens there.
type point struct {
	call  string
	when  int    // the number of the call among those of that name in its thread, from 1 on
	on    bool   // the later calls fail, too
	errno string // empty: the process gets a signal
	flags uint32 // of testtree.PowerCut, where the power is cut

	signal string // empty: KILL
}

func (p point) String() string {
	what := cmp.Or(p.errno, p.signal, "killed")
	if p.on {
		return fmt.Sprintf("%s at %s %d and all later ones", what, p.call, p.when)
	}
	return fmt.Sprintf("%s at %s %d", what, p.call, p.when)
}

// inject returns the arguments of strace for a point.
func (p point) inject() []string {
	what := "signal=" + cmp.Or(p.signal, "KILL")
	if p.errno != "" {
		what = "error=" + p.errno
	}
	more := ""
	if p.on {
		more = "+"
	}
	return []string{"-e", fmt.Sprintf("inject=%s:%s:when=%d%s", p.call, what, p.when, more)}
}

// drop names calls that do nothing and report success: a sweep has to see what that costs.
type drop struct {
	calls string // as fsync,syncfs
	path  string // only calls on this path; empty: all
}

// dropped returns the calls that do nothing by the options.
func (o *options) dropped(l *lab) drop {
	calls, below, _ := strings.Cut(o.without, "@")
	if below != "" {
		below = filepath.Join(l.archive, below)
	}
	return drop{calls, below}
}

// traced runs snapcopy under strace, which records the calls that are named in trace.
func (l *lab) traced(trace []string, inject []string, without drop, args []string) (r result, err error) {
	file, err := os.CreateTemp(l.scratch, "trace-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if err := file.Close(); err != nil {
		return r, err
	}
	all := []string{"-f", "-qq", "-o", file.Name()}
	if !signals(inject) {
		all = append(all, "--seccomp-bpf") // faster; but with it, strace 6.1 gives no signal at any call but the first
	}
	if without.calls != "" {
		trace = append(slices.Clone(trace), strings.Split(without.calls, ",")...)
		all = append(all, "-e", "inject="+without.calls+":retval=0")
	}
	if without.path != "" {
		all = append(all, "-P", without.path)
	}
	all = append(append(all, "-e", "trace="+strings.Join(trace, ",")), inject...)
	r, err = command(l.ctx, l.path, l.environment(), "strace", append(append(all, l.program), args...)...)
	r.args = args
	text, readErr := os.ReadFile(file.Name())
	r.trace = string(text)
	return r, errors.Join(err, readErr)
}

// signals reports whether calls are to give signals.
func signals(inject []string) bool { return strings.Contains(strings.Join(inject, " "), ":signal=") }

// cut runs snapcopy, with a fault at a point.
func (l *lab) cut(at point, without drop, args []string) (result, error) {
	return l.traced([]string{at.call}, at.inject(), without, args)
}

// numbered is one system call of an operation that nothing disturbs.
type numbered struct {
	Call string
	When int // as in a point
}

// profile has the system calls of an operation in the order in which they began.
type profile []numbered

// profileOf reads it from the output of strace -f. strace counts the calls of each thread apart.
func profileOf(trace string) (p profile) {
	counts := make(map[[2]string]int)
	for line := range strings.Lines(trace) {
		thread, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		call, _, isCall := strings.Cut(strings.TrimSpace(rest), "(")
		if !ok || !isCall || strings.HasPrefix(call, "<") || strings.HasPrefix(call, "-") {
			continue
		}
		key := [2]string{thread, call}
		counts[key]++
		p = append(p, numbered{call, counts[key]})
	}
	return p
}

// most returns how often each call is made, at most in one thread.
func (p profile) most() map[string]int {
	most := make(map[string]int)
	for _, n := range p {
		most[n.Call] = max(most[n.Call], n.When)
	}
	return most
}

// traceAll names all calls of which this machine knows some.
func traceAll() []string {
	list := make([]string, len(calls))
	for i, call := range calls {
		list[i] = "?" + call
	}
	return list
}
