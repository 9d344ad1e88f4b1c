package restore

import (
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// This file changes inodes in the target. This run has made each of them, and reaches it by its handle: its name may
// belong to another inode by now.

// setMetadata gives an inode all metadata of its entry, and counts the metadata that the inode does not hold.
func (r *run) setMetadata(w *worker, n tree.Inode, e *index.Entry, set []index.Xattr, how tree.Setting) (tree.Done, error) {
	if e.Type == index.Symlink {
		holds, err := r.linksHoldMetadata(w)
		if err != nil {
			return tree.Done{}, err
		}
		how.Leave = !holds
	}
	done, err := r.setter.Set(n, e, set, how)
	if err == nil {
		err = done.Unplaced(set)
	}
	if err != nil {
		return done, err
	}
	r.lacks.Or(uint64(done.Lacks))
	r.masked.Or(done.Masked)
	w.counts.NotHeld.Count(done.NotHeld)
	return done, nil
}

// linksHoldMetadata reports whether the target's file system can set owner and time of a symbolic link: over some
// protocols they would reach the link's target, which may be any file.
func (r *run) linksHoldMetadata(w *worker) (bool, error) {
	if !r.target.fsync { // a file system of this machine
		return true, nil
	}
	r.linkTry.Do(func() {
		random := leftover.Temporary(w.random, r.top.ID(inTarget).Ino) + "-link"
		r.linkErr = r.target.briefly(r.target.fd, func() (err error) {
			r.linkHolds, err = fsat.LinksHoldMetadata(r.target.fd, random)
			return err
		})
	})
	if r.linkErr != nil {
		return false, fmt.Errorf("try to set the time of a symbolic link: %w", r.linkErr)
	}
	return r.linkHolds, nil
}
