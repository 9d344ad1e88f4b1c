// Command verify compares the speed of "snapcopy verify" with that of b3sum over the same files, in turn, with the same
// number of threads and warm caches, and prints a table in Markdown.
//
//	go run ./bench/verify -rounds 9 /usr/share /dev/shm/one-large-file
//
// The program takes a snapshot of each folder in the scratch folder (-dir), and removes that at the end. Each of the two
// programs reads the snapshot once before it is measured, so that the content is cached. verify also reads and checks the
// catalogs, compares all metadata, and records what it has read; b3sum reads the contents alone. Times are medians and
// minima; the ratios are those of b3sum's time to verify's: above 1, verify is faster. On a machine that does other work
// too, those of processor time (user and system) are the steadier ones.
package main

import (
	"errors"
	"flag"
	"fmt"
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
	fmt.Println("| folder | files | content | threads | b3sum | verify | ratio | of minima | b3sum CPU | verify CPU | ratio | of minima |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
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

// prepare takes the snapshot and lists its files.
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
		info, err := e.Info()
		if err != nil {
			return err
		}
		w.files, w.size = append(w.files, path), w.size+uint64(info.Size())
		return nil
	})
}

// compare lets both programs read the snapshot in turn, the first time without measuring, and prints a row.
func (w *work) compare(folder string, threads, rounds int) error {
	programs := [2]func(string) (spent, error){w.b3sum, w.verify}
	var wall, cpu [2][]float64
	for round := range rounds + 1 {
		for i := range programs {
			k := (round + i) % 2
			s, err := programs[k](strconv.Itoa(threads))
			if err != nil {
				return err
			}
			if round > 0 {
				wall[k], cpu[k] = append(wall[k], s.wall.Seconds()), append(cpu[k], s.cpu.Seconds())
			}
		}
	}
	fmt.Printf("| %s | %s | %s | %d", folder, humanize.Comma(int64(len(w.files))), humanize.Bytes(w.size), threads)
	for _, times := range [][2][]float64{wall, cpu} {
		b3, own := times[0], times[1]
		fmt.Printf(" | %.2f s | %.2f s | %.2f | %.2f", median(b3), median(own), median(b3)/median(own), slices.Min(b3)/slices.Min(own))
	}
	fmt.Println(" |")
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
