package archivetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// Job is a run in a process of its own.
type Job struct {
	Source, Archive string
	Threads         int
	Loop            bool   // run again and again, until killed
	Descriptors     uint64 // limit; 0: none
	FileSize        uint64 // limit; 0: none
	AllowCopies     bool
	AllowClockBack  bool
	Verify          bool
	Remove          []string // snapshots to remove; no run then
	Thin            bool     // with Loop: remove the oldest snapshots, too
	CrashAt         string   // step of Remove
}

// Result is the output of a job.
type Result struct {
	Report  *archive.Report
	Err     string
	Damaged []string
	Most    int // descriptors open at once, as seen at some of the steps
}

// helper does a job in the process started for it.
func helper(text string) int {
	var j Job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	signal.Ignore(unix.SIGXFSZ)
	for what, limit := range map[int]uint64{unix.RLIMIT_NOFILE: j.Descriptors, unix.RLIMIT_FSIZE: j.FileSize} {
		if limit > 0 {
			if err := unix.Setrlimit(what, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 2
			}
		}
	}
	out := j.do()
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

func (j *Job) do() (out Result) {
	opt := snapshot.Options{Threads: j.Threads, AllowCopies: j.AllowCopies, AllowClockBack: j.AllowClockBack || j.Loop}
	if j.Descriptors > 0 {
		var mu sync.Mutex
		calls := 0
		opt.Fault = func(step string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls%64 == 0 { // each look costs more than the step
				if list, err := os.ReadDir("/proc/self/fd"); err == nil {
					out.Most = max(out.Most, len(list))
				}
			}
			return nil
		}
	}
	if j.Remove != nil {
		out.Err = j.remove(j.Remove)
		return out
	}
	for {
		var err error
		out.Report, err = snapshot.Run(context.Background(), j.Source, j.Archive, opt)
		if err != nil {
			out.Err = err.Error()
			return out
		}
		if !j.Loop {
			break
		}
		if j.Thin {
			if out.Err = j.thin(); out.Err != "" {
				return out
			}
		}
	}
	if !j.Verify {
		return out
	}
	a, err := archive.Open(j.Archive)
	if err == nil {
		var list []archive.Snapshot
		if list, err = a.Snapshots(); err == nil {
			_, err = verify.Run(context.Background(), a, list, verify.Options{Threads: j.Threads, Damage: func(d verify.Damage) {
				out.Damaged = append(out.Damaged, fmt.Sprintf("%s %.200q %v", d.Snapshot, d.Path, d.Err))
			}})
		}
		err = errors.Join(err, a.Close())
	}
	if err != nil {
		out.Err = err.Error()
	}
	return out
}

// remove removes snapshots, and returns the error's text.
func (j *Job) remove(names []string) string {
	a, err := archive.Open(j.Archive)
	if err == nil {
		_, err = a.Remove(context.Background(), names, archive.RemoveOptions{Threads: j.Threads, AllowLast: true,
			Fault: func(step string) error {
				if step == j.CrashAt {
					return fault.ErrCrash
				}
				return nil
			}})
		err = errors.Join(err, a.Close())
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// thin keeps three snapshots.
func (j *Job) thin() string {
	a, err := archive.Open(j.Archive)
	if err != nil {
		return err.Error()
	}
	list, err := a.Snapshots()
	if err = errors.Join(err, a.Close()); err != nil {
		return err.Error()
	}
	var names []string
	for _, s := range list[:max(len(list)-3, 0)] {
		names = append(names, s.Name)
	}
	return j.remove(names)
}

// Command prepares a process for a job, as the user nobody if that is wanted.
func (j Job) Command(t *testing.T, asNobody bool) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SNAPSHOT_TEST_JOB="+string(text))
	if asNobody {
		testtree.NeedRoot(t)
		cmd.Path = testtree.Program(t)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nobody}}
	}
	return cmd
}

const Nobody = 65534

// Run does the job in a process of its own and returns its result.
func (j Job) Run(t *testing.T, asNobody bool) Result {
	t.Helper()
	cmd := j.Command(t, asNobody)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helper: %v\n%s", err, stderr.String())
	}
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("helper printed %s: %v", strconv.Quote(string(out)), err)
	}
	return r
}
