//go:build !linux

package atomicfile

import "os"

// Inherit does nothing on this system.
func Inherit(*os.File) error { return nil }
