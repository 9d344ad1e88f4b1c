package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == timedMode { // started by a test below as the bench starts itself
		if err := runTimed(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every program does every work on a small tree, and what rsync stores is what was changed.
func TestMeasure(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the floor runs on Linux only")
	}
	source := t.TempDir()
	for i := range 150 {
		write(t, filepath.Join(source, "small", fmt.Sprint("file ", i)), 10)
		write(t, filepath.Join(source, "large", fmt.Sprint("file\n", i)), 100)
		write(t, filepath.Join(source, "too large", fmt.Sprint("file ", i)), 1000)
	}
	for _, c := range []struct {
		name     string
		programs []string
		want     []string // in the table
	}{
		{"cp and floor", []string{"cp", "floor"}, []string{"| first run | cp -a |", "| first run | floor copy |",
			"| nothing changed | cp -al |", "| nothing changed | floor link |",
			"453 entries (3 of them folders, 167 kB)"}},
		// 5 files, one of 10, two of 100 and two of 1000 bytes, and a line of 19 bytes in each; 150 of 100 bytes
		{"rsync", []string{"rsync"}, []string{"| first run | rsync |", "| nothing changed | rsync |",
			"| 1.00 | 2.3 kB |", "| 1.00 | 15 kB |"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(c.programs, "rsync") {
				testtree.Need(t, "rsync")
			}
			o := options{scratch: t.TempDir(), sources: []string{source}, rounds: 1, workers: 2, programs: c.programs,
				works: []string{"moved", "1%", "nothing", "first"}}
			table, err := measure(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range c.want {
				if !strings.Contains(table, text) {
					t.Errorf("no %q in\n%s", text, table)
				}
			}
		})
	}
}

// A snapshot is restored by each program, and there has to be one.
func TestMeasureRestores(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("snapcopy runs on Linux only")
	}
	source := t.TempDir()
	for i := range 20 {
		write(t, filepath.Join(source, "folder", fmt.Sprint("file ", i)), 1000)
	}
	o := options{scratch: t.TempDir(), sources: []string{source}, rounds: 2, workers: 2,
		programs: []string{"cp", "snapcopy"}, works: []string{"restored"}}
	table, err := measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"| restored | snapcopy |", "| restored | cp -a |"} {
		if !strings.Contains(table, text) {
			t.Errorf("no %q in\n%s", text, table)
		}
	}
	for _, program := range []string{"cp -a", "snapcopy"} {
		for _, result := range []string{"result-1", "result-2"} {
			made, err := filepath.Glob(filepath.Join(o.scratch, "restored", program, result, "folder", "file *"))
			if err != nil || len(made) != 20 {
				t.Errorf("%s, %s: %d files, %v", program, result, len(made), err)
			}
		}
	}
	o.scratch, o.programs = t.TempDir(), []string{"cp"}
	if table, err := measure(t.Context(), o); err == nil {
		t.Errorf("restored without a snapshot:\n%s", table)
	}
}

// Just the number of entries asked for is taken, and a source that would contain the copy is refused.
func TestBuildTree(t *testing.T) {
	source := t.TempDir()
	for i := range 20 {
		write(t, filepath.Join(source, "a folder", fmt.Sprint("file ", i)), 1)
	}
	b := &bench{ctx: context.Background(), tree: filepath.Join(t.TempDir(), "tree"),
		options: options{sources: []string{source}, files: 15}}
	if err := b.buildTree(); err != nil {
		t.Fatal(err)
	}
	f, err := survey(b.tree)
	if err != nil || f.entries != 15 || f.folders != 1 {
		t.Errorf("%d entries, %d folders, %v", f.entries, f.folders, err)
	}
	b.scratch = filepath.Join(source, "a folder")
	if err := b.buildTree(); err == nil {
		t.Error("a source that contains the scratch folder was accepted")
	}
}

func TestHundredth(t *testing.T) {
	var paths []string
	for i := range 1234 {
		paths = append(paths, fmt.Sprint(i))
	}
	seen := map[string]int{}
	for round := 1; round <= 100; round++ {
		some := hundredth(paths, round)
		if len(some) != 12 && len(some) != 13 {
			t.Errorf("round %d: %d of %d paths", round, len(some), len(paths))
		}
		for _, p := range some {
			seen[p]++
		}
	}
	for _, p := range paths {
		if seen[p] != 1 {
			t.Errorf("%s changed in %d of 100 rounds", p, seen[p])
		}
	}
}

func TestRender(t *testing.T) {
	rows := []row{
		{"first run", "snapcopy", []float64{3, 1, 2}, []float64{1, 1, 1}, 5 << 20, nil, nil},
		{"first run", "floor copy", []float64{1, 2}, []float64{1, 1}, 0, nil, nil},
		{"moved", "snapcopy", []float64{1, 1}, []float64{1, 1}, 1 << 20, []int64{0, 0}, []int64{0, 2000}},
		{"moved", "rsync", []float64{8}, []float64{1}, 1 << 20, []int64{4000}, nil},
	}
	want := `| first run | snapcopy | 2.00 s | 1.00–3.00 s | 1.00 s | 5 MiB | 1.33 | – | – |
| first run | floor copy | 1.50 s | 1.00–2.00 s | 1.00 s | – | 1.00 | – | – |
| moved | snapcopy | 1.00 s | 1.00–1.00 s | 1.00 s | 1 MiB | – | 8.00 | 0 B (by its own report 1.0 kB) |
| moved | rsync | 8.00 s | 8.00–8.00 s | 1.00 s | 1 MiB | – | 1.00 | 4.0 kB |
`
	if got := render(rows); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReportedBytes(t *testing.T) {
	for text, want := range map[string]int64{
		`{"snapshot":"x","counts":{"new":1,"bytes_stored":77}}` + "\n": 77,
		`{"counts":{"bytes_stored":0}}`:                                0,
		`{"counts":{}}`:                                                -1,
		``:                                                             -1,
		`no JSON`:                                                      -1,
	} {
		got, ok := reportedBytes([]byte(text))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, size), 0o444); err != nil {
		t.Fatal(err)
	}
}

// Guards: which folder is moved does not depend on the order in which they come.
func TestLargeFolder(t *testing.T) {
	f := facts{bytes: 1110}
	a, b, c := folder{"a", 10}, folder{"b", 100}, folder{"c", 1000}
	for _, order := range [][]folder{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		var best folder
		for _, x := range order {
			best = f.better(best, x)
		}
		if best != b {
			t.Errorf("%v: %v", order, best)
		}
	}
}
