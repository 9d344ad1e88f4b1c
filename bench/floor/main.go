// Command floor does the work of a snapshot with nothing but the system calls that no snapshot can do without. Its
// times are what the benchmark divides by: they show what a program pays for deciding, recording and proving.
//
//	floor [-workers N] link SRC PREV NEW    nothing changed: NEW becomes hard links to PREV for what SRC lists
//	floor [-workers N] copy SRC NEW         first run: NEW becomes a copy of SRC, every content hashed on the way
//
// NEW must not exist. Both end with one syncfs. For each directory they open it, list it, make its twin and set the
// twin's mode, owner and time. For each other entry, link makes one statx and one linkat; copy makes open, fstat,
// listxattr, read, BLAKE3, create, write and utimensat for a regular file, and owner, mode or attributes only where
// they differ from what a new file has. Hard-link groups of SRC are kept.
//
// It is no tool: it keeps no catalog, compares nothing, fills holes, ignores changes made while it runs, and stops at
// the first error. PREV must be an earlier result that SRC still equals. It runs on Linux only.
package main

import (
	"flag"
	"fmt"
	"os"

	"snapcopy/internal/workers"
)

func main() {
	number := flag.Int("workers", workers.Number(0), "directories to work on at a time")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: floor [-workers N] link SRC PREV NEW | floor [-workers N] copy SRC NEW")
		flag.PrintDefaults()
	}
	flag.Parse()
	workers.Spare()
	var err error
	switch args := flag.Args(); {
	case len(args) == 4 && args[0] == "link" && *number > 0:
		err = link(args[1], args[2], args[3], *number)
	case len(args) == 3 && args[0] == "copy" && *number > 0:
		err = copyTree(args[1], args[2], *number)
	default:
		flag.Usage()
		os.Exit(64)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
