// Command bench measures snapcopy against rsync, cp and a bare floor (see the folder floor) on real files of this
// machine, and prints a table in Markdown.
//
//	go run ./bench                                 a copy of /usr/share
//	go run ./bench -files 150000                   150,000 entries of /usr
//	go run ./bench -works nothing -programs floor,cp -rounds 9
//
// Five works are measured: a first run, a run with nothing changed, one with 1 % of the files appended to, one with a
// large folder renamed, and restoring a snapshot into a new folder: cp and rsync copy it out of the archive. In every round each program does the work once, in rotating order, and is followed by "sync
// -f" on its result inside the timed part, so that all are equally durable. What has to be changed in the source is
// changed once a round, before the first program; each program compares with its own result of the round before. All
// caches are warm: the source is read before each work, and except in the first run, which starts from nothing, each
// program does one run that does not count. snapcopy keeps all its snapshots in one archive.
//
// Nothing is deleted before the end, results of first runs are only emptied: ext4 without a journal does not use again
// an inode that was freed in the last minute, and looks at each of them for every file it makes; deleting a result
// would make the next program many times slower. For the same reason the first measurement waits until a minute (-wait)
// has passed since the start.
//
// Space for some six copies of the tree is needed in the scratch folder, whose file system is the one measured. The
// scratch folder is removed at the end, also after Ctrl-C. Owners and attributes are kept fully only when run as root.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"snapcopy/internal/workers"
)

type options struct {
	scratch  string        // an empty folder
	wait     time.Duration // from the start to the first measurement, at least
	settle   time.Duration // after each change of the source
	sources  []string      // folders whose entries make up the tree
	files    int           // how many entries to take; 0: all
	rounds   int
	workers  int
	snapcopy string // the program to measure; empty: build it
	works    []string
	programs []string
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == timedMode {
		if err := runTimed(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	var source, works, programs string
	dir := flag.String("dir", os.Getenv("BENCH_DIR"), "where to work, on the file system to measure (default $BENCH_DIR, "+
		"or the folder for temporary files)")
	flag.StringVar(&source, "source", "", "folders to take real files from, separated by commas "+
		"(default /usr/share, with -files /usr)")
	flag.IntVar(&o.files, "files", 0, "take so many entries of the source (default all)")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each program does each work")
	flag.IntVar(&o.workers, "workers", workers.Number(0), "workers of snapcopy and of the floor")
	flag.StringVar(&o.snapcopy, "snapcopy", "", "the snapcopy program (default: build ./cmd/snapcopy)")
	flag.StringVar(&works, "works", "first,nothing,restored,1%,moved", "what to measure")
	flag.StringVar(&programs, "programs", "snapcopy,rsync,cp,floor", "what to measure it with")
	flag.DurationVar(&o.wait, "wait", 65*time.Second, "let so much time pass before the first measurement")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.workers < 1 || o.files < 0 {
		flag.Usage()
		os.Exit(64)
	}
	o.sources, o.settle = sources(source, o.files), 2*time.Second
	o.works, o.programs = strings.Split(works, ","), strings.Split(programs, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	table, err := inScratch(ctx, *dir, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Print(table)
}

func sources(list string, files int) []string {
	switch {
	case list != "":
		return strings.Split(list, ",")
	case files > 0:
		return []string{"/usr"}
	default:
		return []string{"/usr/share"}
	}
}

// inScratch measures in a new folder in dir, which it removes afterwards.
func inScratch(ctx context.Context, dir string, o options) (table string, err error) {
	if o.scratch, err = os.MkdirTemp(dir, "snapcopy-bench-"); err != nil {
		return "", err
	}
	if o.scratch, err = filepath.Abs(o.scratch); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, remove(o.scratch)) }()
	return measure(ctx, o)
}

// measure does all works and returns the table.
func measure(ctx context.Context, o options) (string, error) {
	b := &bench{options: o, ctx: ctx, tree: filepath.Join(o.scratch, "tree"), base: filepath.Join(o.scratch, "base")}
	start := time.Now()
	programs, err := b.choose()
	if err != nil {
		return "", err
	}
	works, err := chooseWorks(o.works)
	if err != nil {
		return "", err
	}
	note("copying files of %s", strings.Join(o.sources, ", "))
	if err := b.buildTree(); err != nil {
		return "", err
	}
	if b.facts, err = survey(b.tree); err != nil {
		return "", err
	}
	if err := errors.Join(b.settled(), b.pause(o.wait-time.Since(start))); err != nil {
		return "", err
	}
	var rows []row
	for _, w := range works {
		r, err := b.work(w, programs)
		if err != nil {
			return "", fmt.Errorf("%s: %w", w.title, err)
		}
		rows = append(rows, r...)
	}
	machine, err := b.machine()
	return machine + "\n\n" + render(rows), err
}

func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// run runs a command to its end and returns what it prints. What it complains of becomes part of the error.
func (b *bench) run(name string, args ...string) ([]byte, error) {
	var output, complaint bytes.Buffer
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &output, &complaint
	err := cmd.Run()
	if b.ctx.Err() != nil {
		return nil, context.Cause(b.ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, lastLines(complaint.String(), 10))
	}
	return output.Bytes(), nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// remove deletes a tree even where its folders are not writable.
func remove(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	err := filepath.WalkDir(path, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}
