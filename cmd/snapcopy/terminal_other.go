//go:build !windows

package main

import "os"

// canDraw reports whether the terminal understands the escape sequences of a progress bar.
func canDraw(*os.File) bool { return os.Getenv("TERM") != "" }
