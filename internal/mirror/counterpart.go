package mirror

import (
	"slices"
	"strings"

	"snapcopy/internal/fsat"
)

// counterpart is the folder of the previous snapshot that has the path of a folder of the mirror. It need not exist:
// then it is never opened.
type counterpart struct {
	above  *counterpart // nil: of the top
	name   string       // of the folder; of the top: the previous snapshot's
	root   int          // handle of the archive's folder
	fd     int          // fsat.NoDir: it is not open
	wanted bool         // it was to be opened
}

// topCounterpart returns the counterpart of the top; name is "" if there is no previous snapshot.
func topCounterpart(root int, name string) counterpart {
	return counterpart{name: name, root: root, fd: fsat.NoDir}
}

// below returns the counterpart of a folder directly below.
func (c *counterpart) below(name string) counterpart {
	return counterpart{above: c, name: name, root: c.root, fd: fsat.NoDir}
}

// path returns the path of the folder below the top, after the given name of the top.
func (c *counterpart) path(top string) string {
	var names []string
	for ; c.above != nil; c = c.above {
		names = append(names, c.name)
	}
	names = append(names, top)
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// snapshot returns the name of the previous snapshot.
func (c *counterpart) snapshot() string {
	for c.above != nil {
		c = c.above
	}
	return c.name
}

// OpenPrevious opens the folder by its name.
func (c *counterpart) OpenPrevious() (err error) {
	c.wanted = true
	switch {
	case c.above == nil:
		c.fd, err = fsat.OpenDir(c.root, c.name)
	case c.above.fd >= 0:
		c.fd, err = fsat.OpenDir(c.above.fd, c.name)
	}
	if err != nil {
		c.fd = fsat.NoDir
	}
	return err
}

// Previous returns the handle.
func (c *counterpart) Previous() int { return c.fd }

// reopen opens the folder again, from that of a folder directly below if it is open. If that fails, the run stores the
// files of the folder anew.
func (c *counterpart) reopen(below *counterpart) {
	var err error
	switch {
	case !c.wanted:
		return
	case below != nil && below.fd >= 0:
		c.fd, err = fsat.OpenParent(below.fd)
	default: // the folder below may be new
		c.fd, err = fsat.OpenPath(c.root, c.path(c.snapshot()))
	}
	if err != nil {
		c.fd = fsat.NoDir
	}
}

func (c *counterpart) close() error {
	err := fsat.Close(c.fd)
	c.fd = fsat.NoDir
	return err
}
