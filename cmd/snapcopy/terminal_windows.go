package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// canDraw reports whether the console understands the escape sequences of a progress bar, which it is asked to.
func canDraw(f *os.File) bool {
	var mode uint32
	if windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(windows.Handle(f.Fd()), mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
