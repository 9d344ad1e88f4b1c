// Command torture lets the real program die, fail and lose power in the middle of its work, and checks its archive.
//
//	make torture                               # TORTURE=10m, another TORTURE_SEED each time
//	make torture TORTURE=1h
//	make torture TORTURE_SEED=1234 TORTURE=1   # trial 1234 alone, as it was
//	make torture TORTURE=1h TORTUREFLAGS='-every -record sweep.json'
//	go run ./bench/torture -h
//
// A trial makes a source and an archive with some snapshots, begins an operation (a run, a removal, a restore, a repair) and
// cuts it short: a system call kills the process, or it returns an error, or the process is killed and the power of the
// archive's file system is cut with it; in some trials the operation is repeated, and cut short again. After that, every
// earlier snapshot has to equal its fingerprint (of content, metadata and links, read without snapcopy), verify has to find
// no damage, the same operation or the next run has to succeed, its snapshot or tree has to equal the source, and there may
// be no leftovers. An operation that ends with status 0 has to have done its work; any other status has to be one of the
// command's help, with a message that names the archive.
//
// Random trials (the default) go on until the budget is used up. Everything in a random trial follows from its number:
// the source, the edits, the operation, the file system, the system call and when. The scheduling of threads does not:
// a trial is repeated nearly, not exactly.
//
// The systematic sweep (-every) lets each file-system call of each operation return each error at 20 points, and kills each
// operation at 200 points, spread evenly over a run that nothing disturbs. It takes hours; with -record it goes on in
// the next invocation; the first trials have each call and each error of each operation. There are no power cuts. As root it
// works on a btrfs image in the scratch folder (-dir /dev/shm is fast), where each archive is made once and cloned for its
// trials; otherwise it works in the scratch folder, and makes each archive anew, which takes two to three times as long.
//
// The calls are failed by strace(1). Power cuts need root and loop mounts: on ext4 and xfs the file system is shut down
// (XFS_IOC_GOINGDOWN), on btrfs the image is copied while it is mounted, and mounted in place of the original. Instant
// restores need the right to mount overlays. Trials that the machine cannot do are named, and left out. The exit status is 1
// if a trial failed, 77 if none could be done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

type options struct {
	dir     string         // scratch
	program string         // snapcopy; empty: build it
	budget  time.Duration  // begins no trial after it
	trials  int            // at most; 0: as many as the budget allows
	workers int            // trials at a time
	seed    uint64         // of the first trial
	only    *regexp.Regexp // of "operation, file system, kind"
	without string         // system calls that do nothing: a sweep has to find out
	verbose bool

	every      bool   // the systematic sweep
	recordPath string // of its record; empty: none
}

// exitNothingDone is the status by which test programs say that they were skipped.
const exitNothingDone = 77

func main() {
	o, err := parse()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		flag.Usage()
		os.Exit(64)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := sweep(ctx, o)
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("skip: torture runs on Linux only")
		os.Exit(exitNothingDone)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
	fmt.Print(results.render())
	switch {
	case results.failed() > 0:
		os.Exit(1)
	case results.tried() == 0:
		os.Exit(exitNothingDone)
	}
}

func parse() (o options, err error) {
	budget := flag.String("budget", "10m", "begin no trial after this time; a plain number is a number of trials")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "a folder for sources, archives and images of file systems, about 1 GB")
	flag.StringVar(&o.program, "snapcopy", "", "the snapcopy program (default: build ./cmd/snapcopy)")
	seed := flag.String("seed", "", "the number of the first trial (default: another one each time)")
	only := flag.String("only", "", `the trials of which "operation, file system, kind" matches this regular expression; with -every, "operation, btrfs, kind: point"`)
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "trials at a time")
	flag.BoolVar(&o.every, "every", false, "the systematic sweep instead of random trials")
	flag.StringVar(&o.recordPath, "record", "", "with -every: a file that keeps the outcomes, so that the next invocation goes on")
	flag.StringVar(&o.without, "without", "", "system calls that do nothing, to see the sweep fail: fsync,syncfs, or those on one path of the archive: fsync@.snapcopy")
	flag.BoolVar(&o.verbose, "v", false, "a line for each trial")
	flag.Parse()
	o.seed = uint64(rand.Uint32()) + 1
	if *seed != "" {
		if o.seed, err = strconv.ParseUint(*seed, 10, 64); err != nil {
			return o, err
		}
	}
	if o.trials, err = strconv.Atoi(*budget); err == nil {
		o.budget = 24 * time.Hour
	} else if o.budget, err = time.ParseDuration(*budget); err != nil {
		return o, err
	}
	if *only != "" {
		o.only, err = regexp.Compile(*only)
	}
	switch {
	case err != nil:
	case flag.NArg() > 0:
		err = errors.New("there are no arguments")
	case o.workers < 1:
		err = errors.New("-workers has to be 1 or more")
	case o.recordPath != "" && !o.every:
		err = errors.New("-record needs -every")
	}
	return o, err
}
