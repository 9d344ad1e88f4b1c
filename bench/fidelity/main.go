// Command fidelity measures what snapcopy, rsync, cp, tar, borg and restic keep of a tree and what they lose. It prints
// the tables of docs/fidelity.md.
//
//	go run ./bench/fidelity -dir DIR
//
// It makes an ext4 file system of its own in a file in DIR, mounts it, and removes both at the end, also after Ctrl-C.
// That takes root. Each row is a small tree of its own that nothing but this row is about, so that no loss hides
// another. A tool backs it up (twice, where the row is about what changes in between) and restores each backup into
// an empty folder; then source and result are looked at, and every cell is what this comparison finds. The looking
// shares no code with snapcopy.
//
// A tool that is not installed keeps its column and says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	dir      string         // where the file system's image is made
	snapcopy string         // the program to measure; empty: build it
	limit    time.Duration  // for each command of a tool
	only     *regexp.Regexp // of the rows; nil: all
	verbose  bool           // tell every difference and every complaint on stderr
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "a folder for the file system's image, about 1 GB")
	flag.StringVar(&o.snapcopy, "snapcopy", "", "the snapcopy program (default: build ./cmd/snapcopy)")
	flag.DurationVar(&o.limit, "limit", time.Minute, "what a command of a tool may take before it is ended")
	only := flag.String("only", "", "measure only the rows whose name this regular expression matches")
	flag.BoolVar(&o.verbose, "v", false, "tell every difference, and what the tools say, on stderr")
	flag.Parse()
	var err error
	if *only != "" {
		o.only, err = regexp.Compile(*only)
	}
	if flag.NArg() > 0 || err != nil || o.limit <= 0 {
		flag.Usage()
		os.Exit(64)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	text, err := measure(ctx, o)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			err = errors.New("it runs on Linux only")
		}
		fmt.Fprintln(os.Stderr, "fidelity:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}
