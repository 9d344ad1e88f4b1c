package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/zeebo/blake3"
)

// How many points each system call of an operation fails at, with each error, and each operation is killed at.
const (
	errorPoints = 20
	killPoints  = 200
)

// task is one trial of the systematic sweep.
type task struct {
	cell
	at point
}

// String is what the option -only is compared with.
func (t task) String() string { return t.cell.String() + ": " + t.at.String() }

// plan returns all trials of an operation: each call fails with each error at points that are spread evenly over its
// occurrences, and the process is killed at points that are spread evenly over all calls. Where threads make the same
// call, points can coincide: these count once.
func plan(operation, system string, p profile) (tasks []task) {
	occurrences := make(map[string][]int) // call -> its numbers
	var order []string
	for _, n := range p {
		if occurrences[n.Call] == nil {
			order = append(order, n.Call)
		}
		occurrences[n.Call] = append(occurrences[n.Call], n.When)
	}
	for _, call := range order {
		for _, when := range distinct(spread(occurrences[call], errorPoints)) {
			for _, errno := range errnos {
				tasks = append(tasks, task{cell{operation, system, failing}, point{call: call, when: when, errno: errno}})
			}
		}
	}
	for _, n := range distinct(spread(p, killPoints)) {
		tasks = append(tasks, task{cell{operation, system, killed}, point{call: n.Call, when: n.When}})
	}
	return tasks
}

// spread returns n elements of a list at even distances, or all if there are fewer.
func spread[E any](list []E, n int) []E {
	if len(list) <= n {
		return list
	}
	some := make([]E, n)
	for i := range some {
		some[i] = list[(2*i+1)*len(list)/(2*n)]
	}
	return some
}

func distinct[E comparable](list []E) (some []E) {
	seen := make(map[E]bool)
	for _, e := range list {
		if !seen[e] {
			seen[e] = true
			some = append(some, e)
		}
	}
	return some
}

// shuffle orders tasks by chance, always in the same way, but first come a task with each call and error of each operation,
// then another one with each, and so on.
func shuffle(tasks []task) {
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	rounds := make(map[task]int, len(tasks))
	seen := make(map[task]int)
	for _, t := range tasks {
		kind := t
		kind.at.when = 0
		rounds[t] = seen[kind]
		seen[kind]++
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(rounds[a], rounds[b]) })
}

// record is the file in which a systematic sweep keeps its outcomes, so that the next one goes on. Each line is a [noted] in
// JSON. Without a file, nothing is kept.
type record struct {
	file     *os.File // nil: none
	profiles map[string]profile
	outcomes map[string]outcome // by task
}

// noted is a line of a record: first the program, then the profile of each operation, then an outcome of each trial.
type noted struct {
	Program   string   `json:"program,omitempty"` // hash
	Operation string   `json:"operation,omitempty"`
	Profile   profile  `json:"profile,omitempty"`
	System    string   `json:"system,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Point     string   `json:"point,omitempty"`
	Reached   bool     `json:"reached,omitempty"`
	Faults    []string `json:"faults,omitempty"`
}

// openRecord opens the record of sweeps with a program, or makes it.
func openRecord(path, program string) (r *record, err error) {
	r = &record{profiles: make(map[string]profile), outcomes: make(map[string]outcome)}
	if path == "" {
		return r, nil
	}
	hash, err := hashOf(program)
	if err != nil {
		return nil, err
	}
	if r.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r.file)
	lines.Buffer(nil, 64<<20)
	first := ""
	for lines.Scan() {
		var n noted
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		switch {
		case n.Program != "":
			first = n.Program
		case n.Profile != nil:
			r.profiles[n.Operation] = n.Profile
		default:
			o := outcome{cell: cell{n.Operation, n.System, n.Kind}, point: n.Point, reached: n.Reached, faults: n.Faults}
			r.outcomes[o.cell.String()+": "+o.point] = o
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if first == "" {
		return r, r.write(noted{Program: hash})
	}
	if first != hash {
		return nil, fmt.Errorf("%s is the record of another program: remove it, or name that program with -snapcopy", path)
	}
	return r, nil
}

func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := blake3.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)[:16]), errors.Join(err, f.Close())
}

func (r *record) write(n noted) error {
	if r.file == nil {
		return nil
	}
	line, err := json.Marshal(n)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	return err
}

func (r *record) add(o outcome) error {
	return r.write(noted{Operation: o.operation, System: o.system, Kind: o.kind, Point: o.point, Reached: o.reached, Faults: o.faults})
}

func (r *record) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// prepareEvery plans the systematic sweep, in cloned places if there are some. Outcomes of the record count as if they were
// new.
func (s *sweeper) prepareEvery(places map[string]*place) (err error) {
	system := cloned
	if places[system] == nil {
		system = here
	}
	at := places[system]
	if s.record, err = openRecord(s.recordPath, s.program); err != nil {
		return err
	}
	for _, op := range operations {
		if s.missing[op.name] != "" {
			continue
		}
		p := s.record.profiles[op.name]
		if p == nil {
			if p, err = measure(s.ctx, s.program, at, &op); err != nil {
				return fmt.Errorf("%s, undisturbed: %w", op.name, err)
			}
			if err := s.record.write(noted{Operation: op.name, Profile: p}); err != nil {
				return err
			}
		}
		s.tasks = append(s.tasks, plan(op.name, system, p)...)
	}
	shuffle(s.tasks)
	todo := s.tasks[:0]
	for _, t := range s.tasks {
		if s.only != nil && !s.only.MatchString(t.String()) {
			continue
		}
		s.results.planned(t.cell)
		if o, done := s.record.outcomes[t.String()]; done {
			s.results.add(o)
			continue
		}
		todo = append(todo, t)
	}
	s.tasks = todo
	return nil
}
