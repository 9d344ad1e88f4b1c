// Package overlay mounts overlay file systems: a tree that shows a lower folder, which is never written to, with every
// change in an upper folder. Layers are given by handles, so their paths may hold any bytes.
//
// The upper folder is an ordinary tree but for the notes that the kernel keeps there: extended attributes of its own
// and whiteouts, which stand for names that were removed. [Below] reads what is needed to walk upper and lower folder
// side by side, [Strip] takes the attributes away.
//
// It works on Linux; elsewhere there is nothing in it but the errors.
package overlay

import "errors"

// Errors that callers tell apart.
var (
	// ErrInUse says that the upper folder is part of a mounted overlay, perhaps in another mount namespace, or of one
	// that was unmounted lazily and still has open files.
	ErrInUse = errors.New("its changes are part of a mounted overlay already")
	// ErrOtherLower says that the upper folder was used with another lower folder.
	ErrOtherLower = errors.New("its changes belong to another folder, or that was copied")
	// ErrBusy says that a mount cannot be taken away because something in it is in use.
	ErrBusy = errors.New("in use")
	// ErrNotPermitted says that this process may not mount.
	ErrNotPermitted = errors.New("mounting an overlay is not permitted")
	// ErrNoXattrs says that the file system of the upper folder cannot hold the kernel's notes.
	ErrNoXattrs = errors.New("the file system has no extended attributes")
)
