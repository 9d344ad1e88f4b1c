package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"snapcopy/internal/testtools"
	"snapcopy/internal/testtree"
)

// sweeper does trials, one after the other, until the budget is used up.
type sweeper struct {
	options
	results  *results
	record   *record           // of a systematic sweep
	missing  map[string]string // file systems and operations that this machine cannot have, with the reasons
	ctx      context.Context
	stop     context.CancelCauseFunc
	deadline time.Time

	mu       sync.Mutex
	profiles map[string]profile
	next     uint64 // trial of a random sweep
	left     int    // trials, at most
	tasks    []task // of a systematic sweep, which are to be done
}

// sweep does as many trials as the budget allows.
func sweep(ctx context.Context, o options) (_ *results, err error) {
	s := &sweeper{options: o, results: newResults(o), profiles: make(map[string]profile), missing: make(map[string]string), next: o.seed, left: o.trials}
	if s.left == 0 {
		s.left = int(^uint(0) >> 1)
	}
	debug.SetGCPercent(1000) // it uses little memory
	s.ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	if why := cannotTrace(); why != "" {
		s.results.skip("everything", why)
		return s.results, nil
	}
	s.deadline = time.Now().Add(o.budget)
	scratch, err := os.MkdirTemp(o.dir, "snapcopy-torture-")
	if err != nil {
		return nil, err
	}
	if scratch, err = filepath.Abs(scratch); err != nil {
		return nil, err
	}
	if s.program == "" {
		s.program = filepath.Join(scratch, "snapcopy")
		if err := build(ctx, s.program); err != nil {
			return nil, errors.Join(err, os.RemoveAll(scratch))
		}
	}
	pool, err := s.places(scratch)
	if err == nil && s.every {
		err = s.prepareEvery(pool[0])
	}
	if err == nil {
		err = s.work(pool)
	}
	if s.record != nil {
		err = errors.Join(err, s.record.close())
	}
	for _, places := range pool {
		for _, p := range places {
			err = errors.Join(err, p.close())
		}
	}
	if err == nil { // otherwise something may still be mounted there
		err = os.RemoveAll(scratch)
	}
	if ctx.Err() != nil { // what was done until then counts
		err = nil
	}
	return s.results, err
}

// build makes the program without C, so that its system calls begin with its own.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", path, "snapcopy/cmd/snapcopy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// cannotTrace returns why system calls cannot be made to fail here, or "".
func cannotTrace() string {
	tool, _ := testtools.Find("strace")
	if _, err := exec.LookPath("strace"); err != nil {
		return tool.Needed()
	}
	out, err := exec.Command("strace", "-f", "-qq", "--seccomp-bpf", "-o", os.DevNull, "-e", "inject=getppid:error=EIO", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("strace does not work here: %v: %s", err, out)
	}
	return ""
}

// places makes the places of each worker.
func (s *sweeper) places(scratch string) (pool []map[string]*place, err error) {
	if why := cannotOverlay(scratch); why != "" {
		for _, op := range operations {
			if op.mounts {
				s.missing[op.name] = why
				s.results.skip("all trials of "+op.name, why)
			}
		}
	}
	for w := range s.workers {
		folder := filepath.Join(scratch, strconv.Itoa(w))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return pool, err
		}
		pool = append(pool, make(map[string]*place))
		for _, system := range systems {
			if s.missing[system.name] != "" || !s.wantsSystem(system.name) {
				continue
			}
			p, err := s.newPlace(folder, system.name)
			var impossible *testtree.ImpossibleError
			if errors.As(err, &impossible) {
				s.missing[system.name] = impossible.Reason
				s.results.skip(s.leftOut(system.name), impossible.Reason)
				continue
			}
			if err != nil {
				return pool, err
			}
			pool[w][system.name] = p
		}
	}
	return pool, nil
}

// newPlace makes a place for the trials of this sweep.
func (s *sweeper) newPlace(folder, system string) (*place, error) {
	if s.every && system == cloned {
		return newClonedPlace(folder)
	}
	return newPlace(folder, system)
}

// leftOut says which trials there are not without a file system.
func (s *sweeper) leftOut(system string) string {
	if s.every {
		return "clones of archives (each is made anew, in the scratch folder)"
	}
	return "all trials on " + system
}

// wantsSystem reports whether any trial on a file system is wanted.
func (s *sweeper) wantsSystem(system string) bool {
	if system == here { // where the operations are measured
		return true
	}
	if s.every {
		return system == cloned
	}
	if s.only == nil {
		return true
	}
	for _, op := range operations {
		for _, kind := range kinds {
			if s.only.MatchString(cell{op.name, system, kind}.String()) {
				return true
			}
		}
	}
	return false
}

// work does the trials.
func (s *sweeper) work(pool []map[string]*place) error {
	var group sync.WaitGroup
	errs := make([]error, len(pool))
	for w, places := range pool {
		group.Go(func() {
			for errs[w] == nil {
				t, ok := s.take()
				if !ok {
					return
				}
				if errs[w] = t(places); errs[w] != nil {
					s.stop(errs[w])
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// take returns the next trial that is wanted and possible.
func (s *sweeper) take() (trial func(map[string]*place) error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 100_000 {
		if s.left == 0 || time.Now().After(s.deadline) || s.ctx.Err() != nil {
			return nil, false
		}
		if s.every {
			return s.nextTask()
		}
		seed := s.next
		s.next++
		c := cellOf(seed)
		switch {
		case s.only != nil && !s.only.MatchString(c.String()):
		case c.system == here && cutsPower(c.kind): // of this file system it cannot be cut
		case s.missing[c.system] != "" || s.missing[c.operation] != "":
		default:
			s.left--
			return func(places map[string]*place) error { return s.tryRandom(places, c, seed) }, true
		}
	}
	return nil, false
}

// nextTask takes the next trial of a systematic sweep.
func (s *sweeper) nextTask() (trial func(map[string]*place) error, ok bool) {
	if len(s.tasks) == 0 {
		return nil, false
	}
	t := s.tasks[0]
	s.tasks = s.tasks[1:]
	s.left--
	return func(places map[string]*place) error { return s.try(places, t.cell, 0, []point{t.at}) }, true
}

// tryRandom does the trial of a number.
func (s *sweeper) tryRandom(places map[string]*place, c cell, seed uint64) error {
	prof, err := s.profile(places[here], c.operation)
	if err != nil {
		return fmt.Errorf("%s, undisturbed: %w", c.operation, err)
	}
	return s.try(places, c, seed, pointsOf(c, seed, prof))
}

// try does one trial and counts it.
func (s *sweeper) try(places map[string]*place, c cell, seed uint64, points []point) error {
	out, err := trial(s.ctx, s.options, places[c.system], c, seed, points)
	if err != nil {
		return fmt.Errorf("trial %d (%s, %s): %w", seed, c, out.point, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results.add(out)
	if s.verbose {
		fmt.Fprintf(os.Stderr, "%d\t%s\t%s\treached %v\t%d faults\n", seed, c, out.point, out.reached, len(out.faults))
		for _, fault := range out.faults {
			fmt.Fprintf(os.Stderr, "\t%s\n", fault)
		}
	}
	if s.record != nil {
		return s.record.add(out)
	}
	return nil
}

// profile measures an operation unless that is done.
func (s *sweeper) profile(at *place, op string) (profile, error) {
	s.mu.Lock()
	p, ok := s.profiles[op]
	s.mu.Unlock()
	if ok {
		return p, nil
	}
	p, err := measure(s.ctx, s.program, at, operationNamed(op))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.profiles[op] == nil { // two workers may have measured it; both use the same
		s.profiles[op] = p
	}
	return s.profiles[op], nil
}
