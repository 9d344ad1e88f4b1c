// Command verify compares the speed of "snapcopy verify" with that of b3sum over the same files, in turn, with the same
// number of threads and warm caches, and prints a table in Markdown.
//
//	go run ./bench/verify -rounds 9 /usr/share /dev/shm/one-large-file
//
// Of each folder a snapshot is taken in the scratch folder (-dir), which is removed at the end. verify also reads and
// checks the catalogs, compares all metadata, and records what it has read; b3sum reads the contents alone. Times are
// medians, the ratios are those of b3sum's time to verify's: above 1, verify is faster.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

func main() {
	dir := flag.String("dir", "", "where to work (default: the folder for temporary files)")
	rounds := flag.Int("rounds", 5, "how often each program does each work")
	binary := flag.String("snapcopy", "", "the snapcopy program (default: build ./cmd/snapcopy)")
	flag.Parse()
	if flag.NArg() == 0 || *rounds < 1 {
		fmt.Fprintln(os.Stderr, "usage: verify [flags] FOLDER…")
		flag.PrintDefaults()
		os.Exit(64)
	}
	if err := measure(*dir, *binary, *rounds, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

// measure measures each folder, and prints the table.
func measure(dir, binary string, rounds int, folders []string) (err error) {
	scratch, err := os.MkdirTemp(dir, "snapcopy-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if binary == "" {
		binary = filepath.Join(scratch, "snapcopy")
		if _, err := run("go", "build", "-o", binary, "snapcopy/cmd/snapcopy"); err != nil {
			return err
		}
	}
	fmt.Println("| folder | files | content | threads | b3sum | verify | speed | b3sum CPU | verify CPU | by CPU |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for i, folder := range folders {
		w := work{binary: binary, archive: filepath.Join(scratch, strconv.Itoa(i))}
		if err := w.prepare(folder); err != nil {
			return err
		}
		for _, threads := range slices.Compact([]int{1, runtime.NumCPU()}) {
			if err := w.compare(folder, threads, rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// work is an archive with one snapshot.
type work struct {
	binary, archive string
	files           []string
	size            uint64
}

// prepare takes the snapshot and reads it.
func (w *work) prepare(folder string) error {
	if _, err := run(w.binary, "snapshot", "--quiet", folder, w.archive); err != nil {
		return err
	}
	latest, err := filepath.EvalSymlinks(filepath.Join(w.archive, "latest"))
	if err != nil {
		return err
	}
	return filepath.WalkDir(latest, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, f)
		w.files, w.size = append(w.files, path), w.size+uint64(n)
		return errors.Join(err, f.Close())
	})
}

// compare lets both programs read the snapshot in turn, and prints a row.
func (w *work) compare(folder string, threads, rounds int) error {
	programs := [2]func(string) (spent, error){w.b3sum, w.verify}
	var wall, cpu [2][]float64
	for round := range rounds {
		for i := range programs {
			k := (round + i) % 2
			s, err := programs[k](strconv.Itoa(threads))
			if err != nil {
				return err
			}
			wall[k], cpu[k] = append(wall[k], s.wall.Seconds()), append(cpu[k], s.cpu.Seconds())
		}
	}
	b3, own, b3CPU, ownCPU := median(wall[0]), median(wall[1]), median(cpu[0]), median(cpu[1])
	fmt.Printf("| %s | %s | %s | %d | %.2f s | %.2f s | %.2f | %.2f s | %.2f s | %.2f |\n", folder, humanize.Comma(int64(len(w.files))),
		humanize.Bytes(w.size), threads, b3, own, b3/own, b3CPU, ownCPU, b3CPU/ownCPU)
	return nil
}

func (w *work) verify(threads string) (spent, error) {
	return run(w.binary, "verify", "--quiet", "--threads", threads, w.archive)
}

// b3sum reads all files, in several calls if they do not fit one command line.
func (w *work) b3sum(threads string) (sum spent, err error) {
	for rest := w.files; len(rest) > 0; {
		n, length := 0, 0
		for n < len(rest) && length < 1<<20 {
			length += len(rest[n]) + 9 // and the pointer to it
			n++
		}
		s, err := run("b3sum", append([]string{"--num-threads", threads, "--"}, rest[:n]...)...)
		if err != nil {
			return sum, err
		}
		sum.wall, sum.cpu, rest = sum.wall+s.wall, sum.cpu+s.cpu, rest[n:]
	}
	return sum, nil
}

type spent struct{ wall, cpu time.Duration }

// run runs a program to its end, without its output.
func run(program string, args ...string) (spent, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	s := spent{wall: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("%s: %w", program, err)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
