package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// timedMode as the first argument makes this program do one timed run: timedMode RESULT PROGRAM ARGUMENT…
//
// That is a process of its own because the kernel takes the peak memory of the process that starts a program for the
// program's own (the start shares its memory until the exec). This one has only a few MiB.
const timedMode = "timed-run"

// measured is what a timed run took, until the result was durable.
type measured struct {
	Seconds float64
	CPU     float64 // seconds of user and system time
	Memory  int64   // bytes, of the largest process
	Output  []byte
}

// runTimed runs a program, makes its result durable and prints what that took.
func runTimed(result, program string, args []string) error {
	runtime.LockOSThread() // the death signal is sent when the thread ends that started the program
	start := time.Now()
	output, err := runHere(program, args...)
	if err != nil {
		return err
	}
	if _, err := runHere("sync", "-f", result); err != nil {
		return err
	}
	m := measured{Seconds: time.Since(start).Seconds(), Output: output}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	m.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	m.Memory = usage.Maxrss << 10 // getrusage(2): kilobytes
	return json.NewEncoder(os.Stdout).Encode(m)
}

func runHere(program string, args ...string) ([]byte, error) {
	var output bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &output, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return output.Bytes(), nil
}

// timed has a program run by another process of this kind.
func (b *bench) timed(result string, command []string) (m measured, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	output, err := b.run(self, append([]string{timedMode, result}, command...)...)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(output, &m); err != nil {
		return m, fmt.Errorf("%s: %w", timedMode, err)
	}
	return m, nil
}
