// Package fault has the error by which a test lets a process die at a step of its work.
package fault

import "errors"

// ErrCrash, returned by a test's fault, stands for the death of the process: nothing is cleaned up.
var ErrCrash = errors.New("crash")

// IsCrash reports whether an error is the death of the process, or caused by it.
func IsCrash(err error) bool { return errors.Is(err, ErrCrash) }
