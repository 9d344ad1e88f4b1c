package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// program is one of those that are compared.
type program struct {
	name    string
	archive bool // keeps its results in one folder
	// command makes the result next of the source tree. prev is the result before, empty in a first run and for a
	// program that knows its own.
	command func(b *bench, prev, next string) []string
	restore func(b *bench, to string) []string // the newest snapshot of the archive into a new folder; nil: it does not
}

// programs in the order of the table. The first word of a name chooses it.
var programs = []program{
	{"snapcopy", true, func(b *bench, _, archive string) []string {
		return []string{b.binary.snapcopy, "snapshot", b.tree, archive, "--quiet", "--json",
			"--threads", strconv.Itoa(b.workers)}
	}, func(b *bench, to string) []string {
		return []string{b.binary.snapcopy, "restore", b.archive(), "--to", to, "--quiet", "--threads",
			strconv.Itoa(b.workers)}
	}},
	{"rsync", false, func(b *bench, prev, next string) []string {
		args := []string{"rsync", "-aHAX", "--numeric-ids"}
		if prev != "" {
			args = append(args, "--link-dest="+prev)
		}
		return append(args, b.tree+"/", next+"/")
	}, func(b *bench, to string) []string {
		return []string{"rsync", "-aHAX", "--numeric-ids", b.archive() + "/latest/", to + "/"}
	}},
	{"cp -a", false, func(b *bench, _, next string) []string { return []string{"cp", "-a", b.tree, next} },
		func(b *bench, to string) []string { return []string{"cp", "-a", b.archive() + "/latest/", to} }},
	{"cp -al", false, func(_ *bench, prev, next string) []string { return []string{"cp", "-al", prev, next} }, nil},
	{"floor copy", false, func(b *bench, _, next string) []string {
		return []string{b.binary.floor, "-workers", strconv.Itoa(b.workers), "copy", b.tree, next}
	}, nil},
	{"floor link", false, func(b *bench, prev, next string) []string {
		return []string{b.binary.floor, "-workers", strconv.Itoa(b.workers), "link", b.tree, prev, next}
	}, nil},
}

// choose returns the programs asked for, and builds those that are parts of this project.
func (b *bench) choose() ([]program, error) {
	wanted := slices.Clone(b.programs)
	for _, name := range wanted {
		if !slices.Contains([]string{"snapcopy", "rsync", "cp", "floor"}, name) {
			return nil, fmt.Errorf("unknown program %q", name)
		}
	}
	if slices.Contains(wanted, "rsync") {
		version, err := b.run("rsync", "--version")
		switch {
		case errors.Is(err, exec.ErrNotFound):
			note("rsync is not installed: it is left out, and no comparison with it is possible")
			wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == "rsync" })
		case err != nil:
			return nil, err
		default:
			if fields := strings.Fields(string(version)); len(fields) > 2 { // rsync  version 3.4.1  protocol …
				b.rsync = fields[2]
			}
		}
	}
	var err error
	if slices.Contains(wanted, "floor") {
		if b.binary.floor, err = b.build("snapcopy/bench/floor"); err != nil {
			return nil, err
		}
	}
	if b.binary.snapcopy = b.snapcopy; b.snapcopy == "" && slices.Contains(wanted, "snapcopy") {
		if b.binary.snapcopy, err = b.build("snapcopy/cmd/snapcopy"); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(programs), func(p program) bool {
		family, _, _ := strings.Cut(p.name, " ")
		return !slices.Contains(wanted, family)
	}), nil
}

// build compiles a command of this module; the current folder has to be in the module.
func (b *bench) build(path string) (string, error) {
	to := filepath.Join(b.scratch, "bin", filepath.Base(path))
	_, err := b.run("go", "build", "-o", to, path)
	return to, err
}

// reportedBytes is the new content a run of snapcopy says it stored, from its --json summary.
func reportedBytes(summary []byte) (int64, bool) {
	var report struct {
		Counts struct {
			BytesStored *int64 `json:"bytes_stored"`
		} `json:"counts"`
	}
	err := json.NewDecoder(bytes.NewReader(summary)).Decode(&report)
	if err != nil || report.Counts.BytesStored == nil {
		return 0, false
	}
	return *report.Counts.BytesStored, true
}
