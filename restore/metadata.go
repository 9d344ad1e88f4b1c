package restore

import (
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// setMetadata gives an inode all metadata of its entry, and counts the metadata that the inode cannot take.
func (m *maker) setMetadata(w *worker, n tree.Inode, e *index.Entry, set []index.Xattr,
	how tree.Setting) (tree.Done, error) {
	if e.Type == index.Symlink {
		can, err := m.linksTake(w)
		if err != nil {
			return tree.Done{}, err
		}
		how.Leave = !can
	}
	done, err := m.setter.Set(n, e, set, how)
	if err == nil {
		err = done.Unplaced(set)
	}
	if err != nil {
		return done, err
	}
	m.lacks.Or(uint64(done.Lacks))
	m.masked.Or(done.Masked)
	w.counts.CatalogOnly.Count(done.CatalogOnly)
	return done, nil
}

// updateInode sets exactly the metadata of an entry on an existing file or folder.
func (m *maker) updateInode(w *worker, fd int, e *index.Entry, want []index.Xattr) (tree.Done, error) {
	if err := dropXattrs(w, fd, want); err != nil {
		return tree.Done{}, err
	}
	return m.setMetadata(w, tree.Opened(fd), e, want, tree.Setting{})
}

// dropXattrs removes from an existing file or folder the extended attributes that it should not have.
func dropXattrs(w *worker, fd int, want []index.Xattr) error {
	kept, err := tree.DropXattrs(fd, want)
	w.counts.CatalogOnly.Xattrs += kept
	return err
}

// linksTake reports whether the target's file system can set owner and time of a symbolic link: over some
// protocols they would reach the link's target, which may be any file.
func (m *maker) linksTake(w *worker) (bool, error) {
	if !m.target.fsync { // a file system of this machine
		return true, nil
	}
	m.links.once.Do(func() {
		random := leftover.Temporary(w.random, m.target.id.Ino) + "-link"
		m.links.err = m.target.briefly(m.target.fd, func() (err error) {
			m.links.take, err = fsat.LinksTakeMetadata(m.target.fd, random)
			return err
		})
	})
	if m.links.err != nil {
		return false, fmt.Errorf("try to set the time of a symbolic link: %w", m.links.err)
	}
	return m.links.take, nil
}
