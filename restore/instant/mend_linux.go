package instant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/overlay"
	"snapcopy/internal/tree"
	"snapcopy/internal/workers"
)

// Limits of the entries to make from the catalog before the tree is mounted. Above them, the time would depend on the
// size of the tree.
const (
	maxMended      = 1000
	maxMendedBytes = 64 << 20 // an entry whose metadata are mended is copied with its content
	maxGroups      = 100_000  // link groups remembered in search of the second name of each

	// The limit for names of link groups where the kernel could keep the groups together, at a price (see
	// overlay.Layers).
	maxJoined      = 200
	maxJoinedBytes = 16 << 20
)

// mender makes the tree equal to the catalog where the snapshot's folder is not.
type mender struct {
	in          *instant
	from        archive.OpenSnapshot
	setter      tree.Setter
	xattrs      tree.XattrCache
	lacks       fsat.Privileges // that root lacks, and that would have been needed
	mended      uint64
	catalogOnly outcome.CatalogOnlyCounts

	mu      sync.Mutex
	entries []deviating
	bytes   uint64
	links
	// tooManyLinks says that the kernel has to keep link groups together.
	tooManyLinks bool
}

// links are the link groups that mender has to join. tree.Links does not fit: it forgets a group with its last name,
// while these are joined after all names were found, since nothing can be made before the tree is mounted.
type links struct {
	groups map[tree.GroupKey][]deviating
	names  int    // of groups with more than one
	linked uint64 // bytes in them
}

// deviating is an entry, in the folder at, that the snapshot's folder does not have as recorded.
type deviating struct {
	at    *way
	entry index.Entry
}

func newMender(in *instant, from archive.OpenSnapshot, opt Options) *mender {
	m := &mender{in: in, from: from, links: links{groups: make(map[tree.GroupKey][]deviating)}}
	m.setter = tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Fault: opt.Fault}
	return m
}

// root sets the metadata of the snapshot's root on the upper folder, which is the visible one of the two.
func (m *mender) root() error {
	e := m.from.Catalog.Root()
	return m.setMetadata(tree.Opened(m.in.upper), &e)
}

// setMetadata sets the metadata in the catalog on an inode, and counts the metadata that the inode lacks.
func (m *mender) setMetadata(n tree.Inode, e *index.Entry) error {
	set, err := m.xattrs.Get(m.from.Catalog, e.Xattrs)
	if err != nil {
		return err
	}
	done, err := m.setter.Set(n, e, set, tree.Setting{})
	if err == nil {
		err = done.Unplaced(set)
	}
	if err != nil {
		return err
	}
	m.lacks |= done.Lacks
	m.catalogOnly.Count(done.CatalogOnly)
	return nil
}

// catalogDir is a folder to search.
type catalogDir struct {
	at  *way
	pos uint64
}

// find searches the catalog for entries to make, and for entries that an overlay would not show correctly.
func (m *mender) find(ctx context.Context) error {
	root := m.from.Catalog.Root()
	last := make([]index.XattrRef, workers.Number(0)) // a set known to be harmless, one for each worker; 0 is empty
	return spread(ctx, len(last), catalogDir{nil, root.Child}, func(w int, d catalogDir) ([]catalogDir, error) {
		r, err := m.from.Catalog.ReadDir(d.pos)
		if err != nil {
			return nil, err
		}
		var below []catalogDir
		var e index.Entry
		for cur := r.Cursor(); cur.Next(&e); {
			if e.Type == index.Dir {
				below = append(below, catalogDir{&way{d.at, strings.Clone(e.Name)}, e.Child})
			}
			if e.Xattrs != 0 && e.Xattrs != last[w] {
				if err := m.harmless(d.at, &e); err != nil {
					return nil, err
				}
				last[w] = e.Xattrs
			}
			if e.Flags&index.CatalogOnly != 0 || e.Type == index.CharDevice || e.Linked() {
				if err := m.note(d.at, &e); err != nil {
					return nil, err
				}
			}
		}
		return below, nil
	})
}

func unsuitable(at *way, e *index.Entry, why string) error {
	path := strings.Join(append(at.names(), e.Name), "/")
	return fmt.Errorf("%w: %q %s", ErrUnsuitable, path, why)
}

// harmless returns an error if the kernel would take attributes of the source for its own notes.
func (m *mender) harmless(at *way, e *index.Entry) error {
	set, err := m.from.Catalog.Xattrs(e.Xattrs)
	if err != nil {
		return err
	}
	prefix := overlay.Prefix(m.in.UserXattr)
	if slices.ContainsFunc(set, func(x index.Xattr) bool { return strings.HasPrefix(x.Name, prefix) }) {
		return unsuitable(at, e, "is part of an overlay file system itself (it has attributes "+prefix+"*)")
	}
	return nil
}

// note records an entry to be mended.
func (m *mender) note(at *way, e *index.Entry) error {
	switch {
	case e.Type == index.CharDevice && e.Major == 0 && e.Minor == 0:
		return unsuitable(at, e, "is a device 0:0, which in an overlay stands for a removed file")
	case e.Flags&index.LinksCatalogOnly != 0:
		return unsuitable(at, e, "is a hard link that the archive could not keep")
	case e.Type == index.File && e.Flags&index.NotStored != 0:
		return unsuitable(at, e, "is a file that the archive's file system could not store")
	}
	kept := deviating{at, *e}
	kept.entry.Name, kept.entry.Target = strings.Clone(e.Name), strings.Clone(e.Target)
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Flags&index.CatalogOnly != 0 {
		m.entries = append(m.entries, kept)
		m.bytes += tree.ContentBytes(e)
	}
	if len(m.entries) > maxMended || m.bytes > maxMendedBytes {
		return fmt.Errorf("%w: the archive's file system or the privileges of its runs could not store more than "+
			"%d entries or %d MiB of the source", ErrUnsuitable, maxMended, maxMendedBytes>>20)
	}
	if e.Linked() && !m.tooManyLinks {
		return m.noteLink(&kept)
	}
	return nil
}

// noteLink records a name of a link group.
func (m *mender) noteLink(h *deviating) error {
	key := tree.GroupKeyOf(&h.entry)
	group := append(m.groups[key], *h)
	m.groups[key] = group
	switch len(group) {
	case 1:
	case 2:
		m.names += 2
		m.linked += tree.ContentBytes(&h.entry)
	default:
		m.names++
	}
	names, bytes := maxMended, uint64(maxMendedBytes)
	if m.in.Indexed {
		names, bytes = maxJoined, maxJoinedBytes
	}
	if m.names <= names && m.linked <= bytes && len(m.groups) <= maxGroups {
		return nil
	}
	if !m.in.Indexed {
		return fmt.Errorf("%w: the kernel may not keep hard links together here, and there are more than %d or %d MiB",
			ErrUnsuitable, names, bytes>>20)
	}
	m.tooManyLinks = true
	m.links = links{}
	return nil
}

// mend mends all entries found, through the mounted tree root: folders last, as making entries in them changes their
// times.
func (m *mender) mend(root int) error {
	slices.SortStableFunc(m.entries, func(a, b deviating) int {
		return boolOrder(a.entry.Type == index.Dir) - boolOrder(b.entry.Type == index.Dir)
	})
	for i := range m.entries {
		if err := m.inFolder(root, &m.entries[i], m.entry); err != nil {
			return err
		}
	}
	for _, group := range m.groups { // none if the kernel does it
		for i := 1; i < len(group); i++ {
			err := m.inFolder(root, &group[i], func(dir int, e *index.Entry) error {
				return m.join(root, &group[0], dir, e)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inFolder calls do for an entry and preserves the time of its folder.
func (m *mender) inFolder(root int, h *deviating, do func(dir int, e *index.Entry) error) (err error) {
	dir, err := fsat.OpenBelow(root, h.at.names())
	if err == nil {
		defer func() { err = errors.Join(err, fsat.Close(dir)) }()
		var st fsat.Stat
		if err = fsat.StatHandle(dir, &st); err == nil {
			if err = do(dir, &h.entry); err == nil {
				err = fsat.SetMtime(dir, st.Mtime)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("make %q as it was: %w", strings.Join(append(h.at.names(), h.entry.Name), "/"), err)
	}
	m.mended++
	return nil
}

// entry makes a missing entry, or sets the metadata of an existing one.
func (m *mender) entry(dir int, e *index.Entry) (err error) {
	if e.Flags&index.NotStored != 0 {
		if e.Type == index.Symlink {
			err = fsat.MakeSymlink(e.Target, dir, e.Name)
		} else {
			err = fsat.MakeNode(dir, e.Name, tree.KindOf(e.Type), 0o600, e.Major, e.Minor)
		}
		if err != nil {
			return err
		}
	}
	fd, err := fsat.OpenNode(dir, e.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	return m.setMetadata(tree.Noded(fd, dir, e.Name), e)
}

// join makes an entry a hard link of the first name of its group.
func (m *mender) join(root int, first *deviating, dir int, e *index.Entry) (err error) {
	from, err := fsat.OpenBelow(root, first.at.names())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(from)) }()
	if err := fsat.Unlink(dir, e.Name); err != nil {
		return err
	}
	return fsat.Link(from, first.entry.Name, dir, e.Name)
}
