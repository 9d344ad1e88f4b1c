package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// canDraw asks the console to understand the escape sequences of a progress bar, and reports whether it does.
func canDraw(f *os.File) bool {
	var mode uint32
	if windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(windows.Handle(f.Fd()), mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
