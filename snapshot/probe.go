package snapshot

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// Capabilities is what the archive's file system can hold, as found by trying.
type Capabilities struct {
	FileSystem     string `json:"file_system"`
	HardLinks      bool   `json:"hard_links"`
	Reflink        bool   `json:"reflink"`
	Symlinks       bool   `json:"symlinks"`
	Specials       bool   `json:"special_files"`
	Modes          bool   `json:"modes"`
	Owners         bool   `json:"owners"` // false also without the privilege to set them
	Xattrs         bool   `json:"xattrs"`
	ACLs           bool   `json:"acls"`
	Holes          bool   `json:"holes"`
	TimeResolution int64  `json:"time_resolution_ns"`
	CaseSensitive  bool   `json:"case_sensitive"`
	RawNames       bool   `json:"names_any_bytes"` // names that are not UTF-8
	LinkLimit      uint32 `json:"link_limit,omitempty"`
	NeedsFsync     bool   `json:"needs_fsync"` // syncfs cannot be relied on
}

// exact reports whether a stored file carries all there is to it, so that nothing needs to be looked at again.
func (c *Capabilities) exact() bool {
	return c.Modes && c.Owners && c.TimeResolution == 1 && c.Symlinks && c.Specials
}

// probe finds out what the archive's file system can do, by doing it in the work folder.
func (a *Archive) probe() (c Capabilities, err error) {
	sp, err := fsat.FileSystem(a.root)
	if err != nil {
		return c, fmt.Errorf("probe: %w", err)
	}
	c.FileSystem, c.LinkLimit, c.NeedsFsync = sp.Kind, sp.LinkLimit, sp.NeedsFsync

	work, err := fsat.OpenDir(a.meta, workDir)
	if err != nil {
		return c, fmt.Errorf("probe: open %s: %w", workDir, err)
	}
	defer func() { err = errors.Join(err, fsat.Close(work)) }()
	const folder = "probe"
	if err := rmtree.Remove(work, folder); err != nil {
		return c, fmt.Errorf("probe: %w", err)
	}
	if err := fsat.Mkdir(work, folder, 0o700); err != nil {
		return c, fmt.Errorf("probe: make folder: %w", err)
	}
	defer func() { err = errors.Join(err, rmtree.Remove(work, folder)) }()
	dir, err := fsat.OpenDir(work, folder)
	if err != nil {
		return c, fmt.Errorf("probe: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	f, err := fsat.Create(dir, "file", 0o600)
	if err != nil {
		return c, fmt.Errorf("probe: make file: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(f)) }()
	if err := fsat.Write(f, []byte("probe"), 0); err != nil {
		return c, fmt.Errorf("probe: write: %w", err)
	}
	return c, c.try(dir, f)
}

// try fills in the capabilities. A refusal is an answer; only what contradicts itself is an error.
func (c *Capabilities) try(dir, f int) error {
	var st, other fsat.Stat
	if err := fsat.StatHandle(f, &st); err != nil {
		return err
	}
	// A link that succeeds may still be a copy (some network file systems): only one inode with two names counts.
	if fsat.Link(dir, "file", dir, "link") == nil {
		if err := errors.Join(fsat.StatAt(dir, "file", &st), fsat.StatAt(dir, "link", &other)); err != nil {
			return err
		}
		c.HardLinks = st.SameFile(&other) && st.Nlink == 2 && st.Ino != 0
	}
	if clone, err := fsat.Create(dir, "clone", 0o600); err == nil {
		c.Reflink = fsat.Clone(clone, f) == nil
		if err := fsat.Close(clone); err != nil {
			return err
		}
	}
	c.Symlinks = fsat.MakeSymlink("target", dir, "symlink") == nil
	c.Specials = fsat.MakeNode(dir, "fifo", fsat.Fifo, 0o600, 0, 0) == nil
	c.Xattrs = fsat.SetXattr(f, fsat.Xattr{Name: "user.snapcopy", Value: []byte("1")}) == nil
	// The smallest ACL with a named user: owner, user 1, group, mask, others (acl(5), linux/posix_acl_xattr.h).
	acl := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	c.ACLs = fsat.SetXattr(f, fsat.Xattr{Name: "system.posix_acl_access", Value: acl}) == nil
	if err := c.tryMetadata(f, &st); err != nil {
		return err
	}
	const size = 1 << 20
	if fsat.Truncate(f, size) == nil {
		c.Holes = fsat.HasHoles(f, size)
	}
	upper, err := fsat.Create(dir, "FILE", 0o600)
	c.CaseSensitive = err == nil
	raw, err := fsat.Create(dir, "\xff", 0o600)
	c.RawNames = err == nil
	return errors.Join(fsat.Close(upper), fsat.Close(raw))
}

func (c *Capabilities) tryMetadata(f int, st *fsat.Stat) error {
	c.Modes = true
	for _, mode := range []uint32{0o751, 0o604} {
		if fsat.Chmod(f, mode) != nil {
			c.Modes = false
			continue
		}
		if err := fsat.StatHandle(f, st); err != nil {
			return err
		}
		c.Modes = c.Modes && st.Mode == mode
	}
	if fsat.Chown(f, 12345, 23456) == nil {
		if err := fsat.StatHandle(f, st); err != nil {
			return err
		}
		c.Owners = st.UID == 12345 && st.GID == 23456
	}
	want := fsat.Time{Sec: 1_234_567_891, Nsec: 123_456_789}
	c.TimeResolution = 2_000_000_000
	if fsat.SetMtime(f, want) == nil {
		if err := fsat.StatHandle(f, st); err != nil {
			return err
		}
		for _, res := range []int64{1, 100, 1000, 1_000_000, 10_000_000, 1_000_000_000} {
			if st.Mtime == truncate(want, res) {
				c.TimeResolution = res
				break
			}
		}
	}
	return nil
}

// truncate rounds t down to a multiple of res nanoseconds, res being at most two seconds.
func truncate(t fsat.Time, res int64) fsat.Time {
	if res > 1_000_000_000 {
		return fsat.Time{Sec: t.Sec &^ 1}
	}
	return fsat.Time{Sec: t.Sec, Nsec: t.Nsec - t.Nsec%uint32(res)}
}
