package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// calls are those that have to do with files. A kernel or a strace that does not know one leaves it out.
var calls = strings.Fields(`open openat openat2 creat statx stat lstat fstat newfstatat statfs fstatfs access faccessat
	faccessat2 getdents64 readlink readlinkat read pread64 readv preadv write pwrite64 writev copy_file_range sendfile link
	linkat symlink symlinkat mknod mknodat mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 chmod fchmod
	fchmodat fchmodat2 chown lchown fchown fchownat utimensat setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
	listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr truncate ftruncate fallocate lseek ioctl flock
	fcntl fsync fdatasync syncfs sync_file_range close mount umount2`)

// errnos are what a call is made to return.
var errnos = []string{"EIO", "ENOSPC", "EDQUOT", "EMLINK", "ENOMEM", "EINTR", "EMFILE", "ESTALE"}

// limit is what a command may take. It is generous: other programs may be busy.
const limit = 2 * time.Minute

// result is what became of a command.
type result struct {
	args   []string
	status int // 128 and the signal, if one has ended it
	output string
	trace  string // the calls that strace was asked for
}

func (r result) String() string {
	return fmt.Sprintf("snapcopy %s: status %d: %s", strings.Join(r.args, " "), r.status, r.output)
}

// command runs a program, with all that it starts in a group of its own. The error is not about its exit status.
func command(ctx context.Context, dir, name string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
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

// point is a moment of an operation, and what happens there.
type point struct {
	call  string
	when  int
	on    bool   // at all later calls, too
	errno string // empty: the process is killed
	flags uint32 // of testtree.PowerCut, where the power is cut
}

func (p point) String() string {
	what := cmp.Or(p.errno, "killed")
	if p.on {
		return fmt.Sprintf("%s at %s %d and all later ones", what, p.call, p.when)
	}
	return fmt.Sprintf("%s at %s %d", what, p.call, p.when)
}

// inject returns the arguments of strace for a point.
func (p point) inject() []string {
	what := "signal=KILL"
	if p.errno != "" {
		what = "error=" + p.errno
	}
	more := ""
	if p.on {
		more = "+"
	}
	return []string{"-e", fmt.Sprintf("inject=%s:%s:when=%d%s", p.call, what, p.when, more)}
}

// drop makes calls do nothing and report success. It is how a sweep is seen to fail.
type drop struct {
	calls string // as fsync,syncfs
	path  string // only calls that concern it; empty: all
}

// dropped returns what the options say is to do nothing.
func (o *options) dropped(l *lab) drop {
	calls, below, _ := strings.Cut(o.without, "@")
	if below != "" {
		below = filepath.Join(l.archive, below)
	}
	return drop{calls, below}
}

// traced runs snapcopy under strace, which writes the calls that it is asked for into a file.
func traced(ctx context.Context, dir, program string, trace []string, inject []string, without drop, args []string) (r result, err error) {
	file, err := os.CreateTemp(dir, "trace-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if err := file.Close(); err != nil {
		return r, err
	}
	all := []string{"-f", "-qq", "--seccomp-bpf", "-o", file.Name()}
	if without.calls != "" {
		trace = append(slices.Clone(trace), strings.Split(without.calls, ",")...)
		all = append(all, "-e", "inject="+without.calls+":retval=0")
	}
	if without.path != "" {
		all = append(all, "-P", without.path)
	}
	all = append(append(all, "-e", "trace="+strings.Join(trace, ",")), inject...)
	r, err = command(ctx, dir, "strace", append(append(all, program), args...)...)
	r.args = args
	text, readErr := os.ReadFile(file.Name())
	r.trace = string(text)
	return r, errors.Join(err, readErr)
}

// profile is how often an operation makes each call, at most in one thread: strace counts by threads.
type profile map[string]int

// profileOf reads it from the output of strace -f.
func profileOf(trace string) profile {
	counts := make(map[string]map[string]int)
	for line := range strings.Lines(trace) {
		thread, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		call, _, isCall := strings.Cut(strings.TrimSpace(rest), "(")
		if !ok || !isCall || strings.HasPrefix(call, "<") {
			continue
		}
		if counts[call] == nil {
			counts[call] = make(map[string]int)
		}
		counts[call][thread]++
	}
	p := make(profile)
	for call, threads := range counts {
		p[call] = slices.Max(slices.Collect(maps.Values(threads)))
	}
	return p
}

// traceAll asks for all calls that this machine knows.
func traceAll() []string {
	list := make([]string, len(calls))
	for i, call := range calls {
		list[i] = "?" + call
	}
	return list
}
