// Package overlay mounts overlay file systems: a tree that shows a lower folder, which is never written to, with every
// change in an upper folder. Layers are passed by handles, so their paths may contain any bytes.
//
// The upper folder is an ordinary tree, except for the notes that the kernel keeps there: extended attributes of its
// own, and whiteouts, which stand for removed names. [Below] reads the notes needed to walk upper and lower folder
// side by side, [Strip] removes the attributes.
//
// The package needs the right to mount, and works on Linux only; on other systems it has only the errors.
package overlay

import "errors"

// Errors that callers tell apart.
var (
	// ErrInUse reports an upper folder that is part of a mounted overlay, perhaps in another mount namespace, or of an
	// overlay that was unmounted lazily and still has open files.
	ErrInUse = errors.New("its changes are part of a mounted overlay already")
	// ErrOtherLower reports an upper folder that was used with another lower folder.
	ErrOtherLower = errors.New("its changes belong to another folder, or that folder was copied")
	// ErrBusy reports a mount that cannot be removed because a file in it is in use.
	ErrBusy = errors.New("in use")
	// ErrNotPermitted reports that this process may not mount.
	ErrNotPermitted = errors.New("mounting an overlay is not permitted")
	// ErrNoXattrs reports that the file system of the upper folder cannot store the kernel's notes.
	ErrNoXattrs = errors.New("the file system has no extended attributes")
)
