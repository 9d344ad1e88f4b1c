package archive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// Capabilities describes the archive's file system, as found by trying.
type Capabilities struct {
	FileSystem   string `json:"file_system"`
	HardLinks    bool   `json:"hard_links"`
	Reflink      bool   `json:"reflink"`
	Symlinks     bool   `json:"symlinks"`
	LinkMetadata bool   `json:"symlink_metadata"` // owner and time of a symbolic link do not reach its target
	Specials     bool   `json:"special_files"`
	Modes        bool   `json:"modes"`
	Owners       bool   `json:"owners"` // false also without the privilege to set owners
	// FolderOwners says that a folder given to another owner can still be moved and emptied. False without the privilege to
	// write to folders of others: then all folders of a snapshot belong to who takes it.
	FolderOwners   bool   `json:"folder_owners"`
	Xattrs         bool   `json:"xattrs"`
	ACLs           bool   `json:"acls"`
	Holes          bool   `json:"holes"`
	TimeResolution int64  `json:"time_resolution_ns"`
	CaseSensitive  bool   `json:"case_sensitive"`
	RawNames       bool   `json:"names_any_bytes"` // names that are not UTF-8
	NamesKept      bool   `json:"names_kept"`      // a name is listed as it was given
	LinkLimit      uint32 `json:"link_limit,omitempty"`
	NeedsFsync     bool   `json:"needs_fsync"` // syncfs cannot be relied on
}

// Probe finds the capabilities of the archive's file system by trying them in the work folder. A capability of
// archive.json is lost only if it is refused twice. It may really be gone, because the archive lies on another file
// system now, or because privileges differ from run to run; but a single refusal may come from a passing obstacle.
func (a *Locked) Probe() (Capabilities, error) {
	c, doubt, err := probeOnce(a.Root, a.Meta)
	if err == nil && (c.lacks(&a.Info.Capabilities) || doubt != nil) {
		var again Capabilities
		again, doubt, err = probeOnce(a.Root, a.Meta)
		c.merge(&again)
		if err == nil && doubt != nil && c.lacks(&a.Info.Capabilities) {
			err = doubt
		}
	}
	if err != nil {
		return c, fmt.Errorf("try out its file system: %w", err)
	}
	return c, nil
}

// flags are the capabilities that are either present or absent.
func (c *Capabilities) flags() []*bool {
	return []*bool{&c.HardLinks, &c.Reflink, &c.Symlinks, &c.LinkMetadata, &c.Specials, &c.Modes, &c.Owners, &c.FolderOwners, &c.Xattrs,
		&c.ACLs, &c.Holes, &c.CaseSensitive, &c.RawNames, &c.NamesKept}
}

// lacks reports whether c lacks a capability of other.
func (c *Capabilities) lacks(other *Capabilities) bool {
	has := other.flags()
	for i, f := range c.flags() {
		if *has[i] && !*f {
			return true
		}
	}
	return other.TimeResolution != 0 && c.TimeResolution > other.TimeResolution
}

// merge adds the capabilities of other.
func (c *Capabilities) merge(other *Capabilities) {
	has := other.flags()
	for i, f := range c.flags() {
		*f = *f || *has[i]
	}
	c.TimeResolution = min(c.TimeResolution, other.TimeResolution)
}

// probeOnce returns the result of one attempt; doubt is an error that was taken for a refusal and may have been none.
func probeOnce(root int, meta *Meta) (c Capabilities, doubt, err error) {
	sp, err := fsat.FileSystem(root)
	if err != nil {
		return c, nil, err
	}
	c.FileSystem, c.LinkLimit, c.NeedsFsync = sp.Kind, sp.LinkLimit, sp.NeedsFsync

	work, err := fsat.OpenDir(meta.fd, WorkDir)
	if err != nil {
		return c, nil, fmt.Errorf("open %s: %w", WorkDir, err)
	}
	defer func() { err = cmp.Or(err, fsat.Close(work)) }()
	const folder = "probe"
	if err := rmtree.Remove(work, folder); err != nil {
		return c, nil, err
	}
	if err := fsat.Mkdir(work, folder, 0o700); err != nil {
		return c, nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = cmp.Or(err, rmtree.Remove(work, folder)) }() // the next run removes leftovers
	dir, err := fsat.OpenDir(work, folder)
	if err != nil {
		return c, nil, fmt.Errorf("open a folder: %w", err)
	}
	defer func() { err = cmp.Or(err, fsat.Close(dir)) }()
	f, err := fsat.Create(dir, "file", 0o600)
	if err != nil {
		return c, nil, fmt.Errorf("make a file: %w", err)
	}
	defer func() { err = cmp.Or(err, fsat.Close(f)) }()
	if err := fsat.Write(f, []byte("probe"), 0); err != nil {
		return c, nil, fmt.Errorf("write a file: %w", err)
	}
	p := prober{c: c, dir: dir, f: f, remote: sp.NeedsFsync}
	err = p.try()
	return p.c, p.doubt, err
}

// A prober tries capabilities one after the other in a folder of its own. Only a refusal means that a file system
// lacks one. Any other error, such as a full disk, a failing disk or lack of memory, ends the probe: a capability
// wrongly taken for absent would leave metadata out of the mirror.
type prober struct {
	c   Capabilities
	dir int
	f   int   // an open file in it, named "file"
	err error // the first error that is not a refusal

	remote bool  // a program or a server answers for the file system: some return EIO for calls they do not know
	doubt  error // such an answer
}

// can reports whether an attempt succeeded. The functions in also report refusals besides those of fsat.IsRefused.
func (p *prober) can(what string, err error, also ...func(error) bool) bool {
	if p.remote && fsat.IsBadDisk(err) {
		p.doubt = cmp.Or(p.doubt, fmt.Errorf("%s: %w", what, err))
		return false
	}
	refused := err != nil && (fsat.IsRefused(err) || slices.ContainsFunc(also, func(is func(error) bool) bool { return is(err) }))
	if refused {
		return false
	}
	return p.must(what, err)
}

// must is can for calls that every file system supports.
func (p *prober) must(what string, err error) bool {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", what, err)
	}
	return err == nil
}

// isAnswer reports whether the error is the refusal of a program that answers for a file system. exfat-fuse returns
// such an error for special files; the number has no meaning for it.
func (p *prober) isAnswer(err error) bool { return p.c.NeedsFsync && fsat.IsBadDisk(err) }

// create makes a file and reports whether the file system accepts the name. File systems refuse names by all kinds of
// errors; the result leaves nothing out of a snapshot.
func (p *prober) create(name string) bool {
	f, err := fsat.Create(p.dir, name, 0o600)
	ok := p.can(fmt.Sprintf("make a file named %q", name), err, func(err error) bool { return !fsat.IsNoSpace(err) })
	return ok && p.must("close", fsat.Close(f))
}

// try sets the capabilities.
func (p *prober) try() error {
	p.tryLink()
	if clone, err := fsat.Create(p.dir, "clone", 0o600); p.must("make a file", err) {
		p.c.Reflink = p.can("make a reflink", fsat.Clone(clone, p.f), fsat.IsBusy)
		p.must("close", fsat.Close(clone))
	}
	p.c.Symlinks = p.can("make a symbolic link", fsat.MakeSymlink("target", p.dir, "symlink"))
	if p.c.Symlinks {
		takes, err := fsat.LinksTakeMetadata(p.dir, "dangling")
		p.c.LinkMetadata = p.must("set the time of a symbolic link", err) && takes
	}
	p.c.Specials = p.can("make a FIFO", fsat.MakeNode(p.dir, "fifo", fsat.Fifo, 0o600, 0, 0), p.isAnswer)
	p.c.Xattrs = p.can("set an extended attribute", fsat.SetXattr(p.f, fsat.Xattr{Name: "user.snapcopy", Value: []byte("1")}))
	// The smallest ACL with a named user: owner, user 1, group, mask, others (acl(5), linux/posix_acl_xattr.h).
	acl := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	p.c.ACLs = p.can("set an ACL", fsat.SetXattr(p.f, fsat.Xattr{Name: "system.posix_acl_access", Value: acl}))
	p.tryMetadata()
	p.tryFolderOwner()
	const size = 1 << 20
	if p.can("make a hole", fsat.Truncate(p.f, size), fsat.IsTooLarge) {
		p.c.Holes = fsat.HasHoles(p.f, size)
	}
	p.c.CaseSensitive = p.create("FILE")
	p.c.RawNames = p.create("\xff")
	p.tryNames()
	return p.err
}

// tryNames checks that names are listed as given: with capitals, accents composed and as characters of their own,
// signs that are special elsewhere, a dot or a space at the end. A refused name is not changed.
func (p *prober) tryNames() {
	var made []string
	for _, name := range []string{"Capital", "compos\u00e9", "decompose\u0301", "a:b", "a\\b", "a?*<>|\"b", "\x01", "dot.", "space "} {
		if p.create(name) {
			made = append(made, name)
		}
	}
	listing, err := fsat.OpenDir(p.dir, ".")
	if !p.must("open a folder", err) {
		return
	}
	list, err := fsat.ReadDir(listing, make([]byte, listingBuffer))
	if p.must("list a folder", cmp.Or(err, fsat.Close(listing))) {
		p.c.NamesKept = !slices.ContainsFunc(made, func(name string) bool { return !fsat.Lists(list, name) })
	}
}

// tryLink makes a hard link. A successful one may still be a copy (some network file systems): only one inode with two
// names counts. A cache may have the number of names from before; then the content tells.
func (p *prober) tryLink() {
	if !p.can("make a hard link", fsat.Link(p.dir, "file", p.dir, "link"), fsat.IsLinkLimit) {
		return
	}
	var st, other fsat.Stat
	if p.must("look at a hard link", errors.Join(fsat.StatAt(p.dir, "file", &st), fsat.StatAt(p.dir, "link", &other))) {
		p.c.HardLinks = st.SameFile(&other) && st.Ino != 0 && (st.Nlink == 2 || p.sharesContent("link"))
	}
}

// sharesContent reports whether content written to the file shows under another name.
func (p *prober) sharesContent(name string) bool {
	const text = "links" // the length of the former content, which a cache may have
	if !p.must("write a file", fsat.Write(p.f, []byte(text), 0)) || !p.must("sync a file", fsat.Sync(p.f)) {
		return false
	}
	fd, err := fsat.OpenFile(p.dir, name)
	if !p.must("open a hard link", err) {
		return false
	}
	buf := make([]byte, len(text))
	n, err := fsat.Read(fd, buf, 0)
	return p.must("read a hard link", cmp.Or(err, fsat.Close(fd))) && string(buf[:n]) == text
}

// tryMetadata sets the owner last: without CAP_FOWNER no other attribute could be set after that.
func (p *prober) tryMetadata() {
	var st fsat.Stat
	look := func() bool { return p.must("look at a file", fsat.StatHandle(p.f, &st)) }
	p.c.Modes = true
	for _, mode := range []uint32{0o751, 0o604} {
		p.c.Modes = p.can("set a mode", fsat.Chmod(p.f, mode)) && look() && st.Mode == mode && p.c.Modes
	}
	want := fsat.Time{Sec: 1_234_567_891, Nsec: 123_456_789}
	p.c.TimeResolution = 2_000_000_000
	if p.can("set a time", fsat.SetMtime(p.f, want)) && look() {
		for _, res := range []int64{1_000_000_000, 10_000_000, 1_000_000, 1000, 100, 1} {
			if st.Mtime == truncate(want, res) {
				p.c.TimeResolution = res
			}
		}
	}
	const uid, gid = 12345, 23456
	p.c.Owners = p.can("set an owner", fsat.Chown(p.f, uid, gid)) && look() && st.UID == uid && st.GID == gid
}

// truncate rounds t down to a multiple of res nanoseconds, res being at most two seconds.
func truncate(t fsat.Time, res int64) fsat.Time {
	if res > 1_000_000_000 {
		return fsat.Time{Sec: t.Sec &^ 1}
	}
	return fsat.Time{Sec: t.Sec, Nsec: t.Nsec - t.Nsec%uint32(res)}
}

// listingBuffer is the size of the buffer for listing a folder of the archive.
const listingBuffer = 64 << 10
