package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lab is one measurement.
type lab struct {
	options
	ctx     context.Context
	folder  string // scratch, removed at the end
	program string // snapcopy
	help    map[string]string
}

// measure does all rows with all tools and returns the tables.
func measure(ctx context.Context, o options) (text string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("making owners, devices and a file system needs root")
	}
	l := &lab{options: o, ctx: ctx, program: o.snapcopy, help: make(map[string]string)}
	if l.folder, err = os.MkdirTemp(o.dir, "snapcopy-fidelity-"); err != nil {
		return "", err
	}
	if l.folder, err = filepath.Abs(l.folder); err != nil {
		return "", err
	}
	// A folder at which something is still mounted is not removed: unmounting has failed, and is told of.
	defer func() { err = errors.Join(err, os.Remove(l.folder)) }()
	if l.program == "" {
		l.program = filepath.Join(l.folder, "snapcopy")
		defer func() { err = errors.Join(err, os.Remove(l.program)) }()
		if err := l.system("go", "build", "-o", l.program, "snapcopy/cmd/snapcopy"); err != nil {
			return "", err
		}
	}
	var lines []line
	for i := range rows {
		r := &rows[i]
		if o.only != nil && !o.only.MatchString(r.title) {
			continue
		}
		fmt.Fprintln(os.Stderr, r.title)
		cells, err := l.row(r)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.title, err)
		}
		lines = append(lines, line{r.title, cells})
	}
	programs, err := l.programs()
	if err != nil {
		return "", err
	}
	return render(lines, programs, l.machine()), nil
}

// row measures one row with each tool, each on a file system of its own.
func (l *lab) row(r *row) (cells []string, err error) {
	for i := range tools {
		t := &tools[i]
		var got []string
		if l.path(t.program) == "" {
			got = []string{"not installed"}
		} else {
			err = l.withDisk(func(disk string) error {
				tr := &trial{lab: l, tool: t, row: r, disk: disk}
				got, err = tr.run()
				return err
			})
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if t.mirror && len(got) == 1 {
			got = append(got, got[0])
		}
		cells = append(cells, got...)
	}
	return cells, nil
}

// path finds a program; empty if it is not installed.
func (l *lab) path(program string) string {
	if program == "snapcopy" {
		return l.program
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}

// withDisk makes an ext4 file system for work, and takes it away again. Extended attributes of more than a block are
// something it has to be asked for.
func (l *lab) withDisk(work func(path string) error) (err error) {
	image, path := filepath.Join(l.folder, "image"), filepath.Join(l.folder, "disk")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(image)) }()
	if err := errors.Join(f.Truncate(3<<30), f.Close(), os.Mkdir(path, 0o700)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	err = l.system("mkfs.ext4", "-q", "-F", "-O", "ea_inode", "-E", "lazy_itable_init=1,nodiscard", image)
	if err == nil {
		err = l.system("mount", "-o", "loop,relatime", image, path)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount(path)) }()
	return work(path)
}

// unmount waits for a program that was ended to let go.
func unmount(path string) (err error) {
	for range 20 {
		if err = quiet("umount", path); err == nil {
			return nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return err
}

// system runs a command of the system until it is done or the measurement is called off.
func (l *lab) system(name string, args ...string) error {
	out, err := exec.CommandContext(l.ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// knows tells whether the help of a tool's command names an option.
func (l *lab) knows(program, verb, option string) bool {
	key := program + " " + verb
	if _, asked := l.help[key]; !asked {
		out, err := exec.CommandContext(l.ctx, l.path(program), verb, "--help").CombinedOutput()
		if err != nil {
			out = nil
		}
		l.help[key] = string(out)
	}
	return strings.Contains(l.help[key], option)
}

// tell runs one command of a tool. done is false if it had to be ended because its time was over; exit is its status.
func (l *lab) tell(c command, env []string) (exit int, done bool, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.path(c.argv[0]), c.argv[1:]...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &output, &output, c.dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end it with all that it has started
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if l.verbose {
		fmt.Fprintf(os.Stderr, "    %s: %v\n", strings.Join(c.argv, " "), err)
		if err != nil {
			text := output.String()
			fmt.Fprintf(os.Stderr, "%s\n", text[max(0, len(text)-600):])
		}
	}
	var failed *exec.ExitError
	switch {
	case l.ctx.Err() != nil:
		return 0, false, context.Cause(l.ctx)
	case ctx.Err() != nil:
		return 0, false, nil
	case errors.As(err, &failed) && failed.Exited():
		return failed.ExitCode(), true, nil
	case errors.As(err, &failed): // by a signal
		return 128 + int(failed.Sys().(syscall.WaitStatus).Signal()), true, nil
	}
	return 0, true, err
}

// programs says what was measured, with the commands as they were run.
func (l *lab) programs() (list []used, err error) {
	for i := range tools {
		t := &tools[i]
		u := used{name: t.name, version: "not installed"}
		if path := l.path(t.program); path != "" {
			out, err := exec.CommandContext(l.ctx, path, strings.Fields(t.version)[1:]...).Output()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.version, err)
			}
			u.version = shortVersion(string(out))
		}
		for i, text := range []string{t.setup, t.first, t.next, t.restore} {
			if text == "" {
				continue
			}
			p := place{src: "SRC", store: "STORE", out: "OUT", n: 1, of: 2}
			if i > 1 {
				p.n = 2
			}
			c := fill(text, p, func(program, verb, option string) bool {
				return l.path(program) != "" && l.knows(program, verb, option)
			})
			shown := strings.Join(c.argv, " ")
			if c.dir != "" {
				shown = "cd " + c.dir + " && " + shown
			}
			u.commands = append(u.commands, shown)
		}
		list = append(list, u)
	}
	return list, nil
}

func (l *lab) machine() string {
	var u syscall.Utsname
	release := "an unknown kernel"
	if err := syscall.Uname(&u); err == nil {
		var b strings.Builder
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			b.WriteByte(byte(c))
		}
		release = "Linux " + b.String()
	}
	return fmt.Sprintf("Measured %s as root on ext4 (mounted relatime, with ea_inode), %s; each command had %.0f s.",
		time.Now().Format("2006-01-02"), release, l.limit.Seconds())
}
