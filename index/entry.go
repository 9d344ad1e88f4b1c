package index

import "snapcopy/internal/fsat"

// Type is the kind of file an Entry describes.
type Type uint8

// The kinds of file. The numbers are part of the catalog format.
const (
	File        Type = 1
	Dir         Type = 2
	Symlink     Type = 3
	Fifo        Type = 4
	Socket      Type = 5
	CharDevice  Type = 6
	BlockDevice Type = 7
)

var typeNames = [...]string{"unknown kind of file", "file", "folder", "symbolic link", "FIFO", "socket",
	"character device", "block device"}

// String returns the name of the kind, for people.
func (t Type) String() string {
	if int(t) >= len(typeNames) {
		return typeNames[0]
	}
	return typeNames[t]
}

// Hash is a BLAKE3-256 digest. The zero Hash stands for "none".
type Hash [32]byte

// Time is a point in time as file systems keep it: seconds since 1970 and nanoseconds.
type Time = fsat.Time

// Flags mark the special circumstances of an entry. The bits are part of the catalog format.
type Flags uint32

const (
	// Racy marks an entry that changed so shortly before the run looked at it that a later change could carry the same
	// timestamps. The next run reads it again.
	Racy Flags = 1 << iota
	// Torn marks a file that changed during every attempt to read it. The bytes of the last attempt are stored.
	Torn
	// Unread marks a directory that could not be listed completely; entries below it may be missing.
	Unread
	// NotStored marks an entry that exists in the catalog only, because the archive's file system or the privileges of
	// the run could not store it (a device made without root, a symlink on FAT).
	NotStored
	// OwnerCatalogOnly, ModeCatalogOnly, TimeCatalogOnly and XattrsCatalogOnly mark metadata that the stored file does not carry; the
	// catalog has the true value.
	OwnerCatalogOnly
	ModeCatalogOnly
	TimeCatalogOnly
	XattrsCatalogOnly
	// LinksCatalogOnly marks a name of a link group that the snapshot's folder does not have together with the others,
	// because of the file system's link limit or because the links changed during the run.
	LinksCatalogOnly
	// ZeroHash marks a file whose Hash leaves out a long run of zeros (see docs/format.md): it is not the BLAKE3 hash
	// that other programs compute.
	ZeroHash
	// AtLinkLimit marks a file stored anew because the stored file could take no further name; WasMissing marks a file
	// stored anew because the stored file was gone or differed from its record.
	AtLinkLimit
	WasMissing
	// Rotten marks a file whose content in the source is no longer the recorded one, although its stat data are: the disk of
	// the source has damaged it. The stored file has the good content. The next run reads the source's file again.
	Rotten
	// Kept marks an entry that the run could not read and carried along from the previous snapshot, as of AsOf.
	Kept
)

// allFlags is the set of all flags of the format.
const allFlags = Kept<<1 - 1

// CatalogOnly is the set of flags for everything that the archive's file system, or the privileges of the run, could not
// store. The snapshot's folder differs from the source there; the catalog has the truth.
const CatalogOnly = NotStored | OwnerCatalogOnly | ModeCatalogOnly | TimeCatalogOnly | XattrsCatalogOnly | LinksCatalogOnly

// DirID numbers the directories of one catalog in the order the run entered them. The root is 0.
type DirID uint32

// XattrRef is the place of a set of extended attributes in a catalog; 0 is the empty set.
type XattrRef uint64

// Xattr is one extended attribute. Its name includes the namespace ("user.note", "system.posix_acl_access").
type Xattr = fsat.Xattr

// Entry is one name in a directory: everything the archive knows about it.
type Entry struct {
	// As in the source. The hash of a directory covers these fields of its entries.

	Name      string // one path element, any bytes but '/' and NUL; "" for the root
	Type      Type
	Mode      uint32 // permission, setuid, setgid and sticky bits (07777)
	UID, GID  uint32
	Mtime     Time
	Attrs     Attrs
	Size      uint64 // File: bytes; Symlink: length of Target; otherwise 0
	Nlink     uint32 // names of the inode in the source; 0 for directories
	Hash      Hash   // File: of the content; Dir: of its record; otherwise zero
	Target    string // Symlink: where it points
	Major     uint32 // CharDevice, BlockDevice: the device number
	Minor     uint32
	XattrHash Hash // of the set of extended attributes; zero: none

	// How to recognise the entry in the source, and its place in the archive.

	Dev    uint32 // number of the source file system within this catalog, 0 for the first
	Ino    uint64 // inode number in the source; (Dev, Ino) names the link group if Nlink > 1
	Ctime  Time
	Stored uint64 // inode number in the archive; 0: unknown or NotStored
	Blocks uint64 // allocated to the stored inode, of 512 bytes each
	Flags  Flags
	AsOf   string // Kept: name of the snapshot whose run was the last to read the entry; otherwise ""
	Xattrs XattrRef
	Child  uint64 // Dir: position of its record, never 0
	Below  Totals // Dir: of everything below it
	Inodes Sum    // Dir: sum over the stored inodes below and their blocks, see Space
	Space  uint64 // Dir: position of its space record, never 0
}

// Sum is the first half of a BLAKE3 hash.
type Sum [16]byte

// Attrs are the file attributes that chattr(1) shows and changes, with the bits of ioctl_iflags(2).
type Attrs uint32

// RecordedAttrs is the set of attributes that say something about the file. The others say how its file system stores it
// at the moment.
const RecordedAttrs Attrs = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x400 | 0x4000 | 0x8000 | 0x10000 |
	0x20000 | 0x800000 | 0x2000000 | 0x20000000 | 0x40000000

// Linked reports whether the entry is one of several names of its inode.
func (e *Entry) Linked() bool { return e.Type != Dir && e.Nlink > 1 }

// Totals sums up everything below a directory, not counting the directory itself.
type Totals struct {
	Files uint64 // everything that is not a directory
	Dirs  uint64
	Bytes uint64 // of regular files, each name counted; modulo 2^64

	Structure uint64 // blocks of 512 bytes allocated to the directories; modulo 2^64
}

// count adds an entry, with everything below it, to t.
func (t *Totals) count(e *Entry) {
	switch e.Type {
	case Dir:
		t.Files += e.Below.Files
		t.Dirs += e.Below.Dirs + 1
		t.Bytes += e.Below.Bytes
		t.Structure += e.Below.Structure + e.Blocks
	case File:
		t.Files++
		t.Bytes += e.Size
	default:
		t.Files++
	}
}

// HashXattrs returns the hash that a catalog has for a set of extended attributes, which must be sorted by name. The
// hash is zero for the empty set and for a set that the format cannot express.
func HashXattrs(set []Xattr) Hash {
	if len(set) == 0 {
		return Hash{}
	}
	b, err := appendXattrs(nil, set)
	if err != nil {
		return Hash{}
	}
	return hashOf(b)
}

// Add adds the figures of other to c.
func (c *Counts) Add(other *Counts) {
	theirs := other.fields()
	for i, field := range c.fields() {
		*field += *theirs[i]
	}
}
