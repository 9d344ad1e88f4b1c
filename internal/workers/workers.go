// Package workers says how many goroutines do work that consists of system calls, and has them do it.
package workers

import (
	"os"
	"runtime"
)

// processors is taken before Spare changes it.
var processors = runtime.GOMAXPROCS(0)

// Number is the number of workers if wanted is not positive: one for each processor, at least 2 (so that one can wait for
// the disk) and at most 16.
func Number(wanted int) int {
	if wanted > 0 {
		return wanted
	}
	return min(max(processors, 2), 16)
}

// Spare lets the process run more goroutines than there are workers, for the whole of its life.
//
// When each of them is in a system call, Go's scheduler (retake in runtime/proc.go) takes the place of any call that lasts
// more than some 20 microseconds and gives it to another thread, which has nothing to do. While a place is idle it does
// not. On 2 processors a tree of small files is restored in 15 % less time for that. GOMAXPROCS in the environment is
// left to say otherwise.
func Spare() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(processors, 2*Number(0)))
	}
}
