package tree

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Fields is a set of fields of an entry, in which it differs from another entry or from an inode. A caller that asks
// whether two are the same masks the fields that matter to it.
type Fields uint32

// The fields. Stat data do not tell Content, Target, Xattrs and Attrs: DiffStat never has them.
const (
	Type    Fields = 1 << iota
	Size           // of a regular file
	Content        // hash of a regular file's content, or of a folder's record
	Target         // of a symbolic link
	Rdev           // device number
	Mode
	UID
	GID
	Mtime
	Xattrs // extended attributes, including ACLs
	Attrs  // file attributes, which chattr sets
	Nlink  // number of names; folders have none
	Ctime
	Ino    // inode number in the source
	Stored // inode number in the archive
)

// Useful subsets.
const (
	Owner = UID | GID

	// Body is the content of an entry, in a wide sense, besides its type.
	Body = Size | Content | Target | Rdev

	// OfInode is the metadata that an inode has once, for all its names. File attributes are not part of it, since
	// only the catalog records them.
	OfInode = Mode | Owner | Mtime | Xattrs

	// Metadata is everything in the source's entry besides type and body.
	Metadata = OfInode | Attrs | Nlink

	// StandsFor has the fields in which a stored file must equal an entry with the same content, to become a name of
	// it.
	StandsFor = Type | Size | OfInode

	// Version has the fields in which an inode of the source must equal an entry to be the recorded version: each
	// change moves the change time, and the other fields guard against an unreliable one. See Unchanged.
	Version = Type | Size | Mode | Owner | Mtime | Ctime | Ino
)

// Diff returns the fields in which two entries differ. The link counts of two folders never do.
func Diff(a, b *index.Entry) (f Fields) {
	f.mark(a.Type != b.Type, Type)
	f.mark(a.Size != b.Size, Size)
	f.mark(a.Hash != b.Hash, Content)
	f.mark(a.Target != b.Target, Target)
	f.mark(a.Major != b.Major || a.Minor != b.Minor, Rdev)
	f.mark(a.Mode != b.Mode, Mode)
	f.mark(a.UID != b.UID, UID)
	f.mark(a.GID != b.GID, GID)
	f.mark(a.Mtime != b.Mtime, Mtime)
	f.mark(a.XattrHash != b.XattrHash, Xattrs)
	f.mark(a.Attrs != b.Attrs, Attrs)
	f.mark(a.Nlink != b.Nlink && a.Type != index.Dir && b.Type != index.Dir, Nlink)
	f.mark(a.Ctime != b.Ctime, Ctime)
	f.mark(a.Ino != b.Ino, Ino)
	f.mark(a.Stored != b.Stored, Stored)
	return f
}

// SameVersion reports whether two entries describe the same content and metadata. The number of names is part of
// neither: it tells of other paths.
func SameVersion(a, b *index.Entry) bool { return Diff(a, b)&(Type|Body|Metadata&^Nlink) == 0 }

// DiffStat returns the fields in which an entry differs from an inode, among those in stat data. The inode is one of
// the source, where Ino counts, or one of an archive, where Stored does. Sizes, device numbers and link counts are
// compared only for types that have them.
func DiffStat(e *index.Entry, st *fsat.Stat) (f Fields) {
	f.mark(TypeOf(st.Type) != e.Type, Type)
	f.mark(e.Type == index.File && e.Size != uint64(st.Size), Size)
	f.mark(IsDevice(e.Type) && (e.Major != st.Major || e.Minor != st.Minor), Rdev)
	f.mark(e.Mode != st.Mode, Mode)
	f.mark(e.UID != st.UID, UID)
	f.mark(e.GID != st.GID, GID)
	f.mark(e.Mtime != st.Mtime, Mtime)
	f.mark(e.Type != index.Dir && e.Nlink != st.Nlink, Nlink)
	f.mark(e.Ctime != st.Ctime, Ctime)
	f.mark(e.Ino != st.Ino, Ino)
	f.mark(e.Stored != st.Ino, Stored)
	return f
}

func (f *Fields) mark(differs bool, field Fields) {
	if differs {
		*f |= field
	}
}

// Unchanged is the rule that decides whether a run reads a file. The file is unchanged if its stat data equal the
// record, and the record is neither so recent that a later change could look the same, nor incomplete. ignore has the
// fields of Version that mean nothing in this source.
//
// A run asks this for an entry other than a folder (and then whether the archive has a stored file that this run could
// not make better, and whether the source's own catalog agrees), and for the metadata of a folder. A comparison with a
// live folder asks it for both, and a restore for an entry of the target that may be the source's own inode (and then
// whether it is on the source's device). Without change times, a run and a comparison ask UnchangedBeyondStat, too, or
// read the metadata of a folder again.
func Unchanged(was *index.Entry, st *fsat.Stat, ignore Fields) bool {
	return was.Flags&(index.Racy|index.Torn|index.Unread) == 0 && DiffStat(was, st)&(Version&^ignore) == 0
}

// UnchangedBeyondStat reports whether an inode that Unchanged has found unchanged without a look at its change time is
// as recorded in what its change time otherwise vouches for, and Version lacks. e describes the inode; its extended
// attributes, its file attributes and the target of a symbolic link were read. The number of names is for the caller to
// compare, and the content of a file, for want of a cheap look, is taken for unchanged.
func UnchangedBeyondStat(was, e *index.Entry) bool {
	return Diff(was, e)&(Target|Rdev|Xattrs|Attrs) == 0
}

// Ignored returns the fields for Unchanged to ignore, for a source whose change times or inode numbers mean nothing.
func Ignored(ctime, inode bool) (f Fields) {
	f.mark(ctime, Ctime)
	f.mark(inode, Ino)
	return f
}

// Settable returns the fields in stat data that can be set on an inode of a type: the mode of a symbolic link cannot.
func Settable(t index.Type) Fields {
	if t == index.Symlink {
		return Owner | Mtime
	}
	return Owner | Mtime | Mode
}

// DiffStored returns the fields in stat data in which a stored file differs from its entry; a program that writes to
// the file moves its times. Fields that the archive could not store, by the flags of the entry, do not count. In an
// archive that was copied, Stored differs everywhere.
func DiffStored(e *index.Entry, st *fsat.Stat) Fields {
	recorded := Type | Size | Rdev | Stored | Settable(e.Type)
	return DiffStat(e, st) & recorded &^ fieldsCatalogOnly(e.Flags)
}

// catalogOnly pairs a field with the flag of an entry whose stored file lacks it.
var catalogOnly = [...]struct {
	field Fields
	flag  index.Flags
}{
	{Owner, index.OwnerCatalogOnly}, {Mode, index.ModeCatalogOnly}, {Mtime, index.TimeCatalogOnly}, {Xattrs, index.XattrsCatalogOnly},
}

// fieldsCatalogOnly returns the fields that a stored file lacks, by the flags of its entry.
func fieldsCatalogOnly(flags index.Flags) (f Fields) {
	for _, n := range catalogOnly {
		f.mark(flags&n.flag != 0, n.field)
	}
	return f
}

// Flags returns the flags of an entry whose stored file lacks the fields.
func (f Fields) Flags() (flags index.Flags) {
	for _, n := range catalogOnly {
		if f&n.field != 0 {
			flags |= n.flag
		}
	}
	return flags
}

// fieldNames are the names of metadata in output for programs.
var fieldNames = [...]struct {
	field Fields
	name  string
}{
	{Mode, "mode"}, {Owner, "owner"}, {Mtime, "mtime"}, {Xattrs, "xattrs"}, {Attrs, "attributes"}, {Nlink, "links"},
}

// Names returns the names of the metadata in a set, for programs: some of "mode", "owner", "mtime", "xattrs",
// "attributes" (those of chattr) and "links", in this order. Other fields have no name.
func (f Fields) Names() (list []string) {
	for _, n := range fieldNames {
		if f&n.field != 0 {
			list = append(list, n.name)
		}
	}
	return list
}
