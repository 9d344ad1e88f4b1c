package fidelity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testtree"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

// nobody is a user without privileges.
const nobody = 65534

const jobVariable = "FIDELITY_TEST_JOB"

// job is a run, or with To a restore, by the user nobody in a process of its own.
type job struct {
	Source, Archive string
	To, Snapshot    string
	FailAt          string // the step that fails
}

type jobResult struct {
	Report   *archive.Report
	Restored outcome.CatalogOnlyCounts
	Failed   []string
	Err      string
}

func doJob(text string) int {
	var j job
	err := json.Unmarshal([]byte(text), &j)
	var out jobResult
	if err == nil {
		out = j.do()
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var errWanted = errors.New("this step fails")

func (j *job) do() (out jobResult) {
	var err error
	if j.To != "" {
		err = j.restore(&out)
	} else {
		out.Report, err = snapshot.Run(context.Background(), j.Source, j.Archive, snapshot.Options{
			Fault: func(step string) error {
				if step == j.FailAt {
					return errWanted
				}
				return nil
			}})
	}
	if err != nil {
		out.Err = err.Error()
	}
	return out
}

func (j *job) restore(out *jobResult) error {
	c, err := index.Open(filepath.Join(j.Archive, ".snapcopy", "catalogs", j.Snapshot+".cat"))
	if err != nil {
		return err
	}
	rep, err := restore.Run(context.Background(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(j.Archive, j.Snapshot)}},
		nil, j.To, restore.Options{})
	if err == nil {
		out.Restored = rep.CatalogOnly
		for _, f := range rep.Failed {
			out.Failed = append(out.Failed, f.Path)
		}
	}
	return errors.Join(err, c.Close())
}

// run does the job.
func (j job) run(t *testing.T) (r jobResult) {
	t.Helper()
	needRoot(t)
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(testtree.Program(t))
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	cmd.Dir, cmd.Stderr = "/", &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("job: %v\n%s%s", err, out, stderr.String())
	}
	return r
}
