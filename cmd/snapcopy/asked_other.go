//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// whenAsked returns a channel with the signals by which a person asks for a line of progress. A command that shows none
// takes no notice of them.
func whenAsked() <-chan os.Signal {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	return asked
}
