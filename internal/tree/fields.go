package tree

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Fields is a set of the fields of an entry: those in which it differs from another entry or from an inode. Whoever asks
// whether two are the same takes the part of the set that matters for that.
type Fields uint32

// The fields. Content, Target, Xattrs and Attrs are nothing that stat tells: DiffStat never has them.
const (
	Type    Fields = 1 << iota
	Size           // of a regular file
	Content        // hash of a regular file's content, or of a directory's record
	Target         // of a symbolic link
	Rdev           // device number
	Mode
	UID
	GID
	Mtime
	Xattrs // extended attributes, with the ACLs among them
	Attrs  // file attributes, which chattr sets
	Nlink  // number of names; directories have none
	Ctime
	Ino    // inode number in the source
	Stored // inode number in the archive
)

// Parts of the set that have a meaning of their own.
const (
	Owner = UID | GID

	// Body is what an entry is, in addition to its type.
	Body = Size | Content | Target | Rdev

	// OfInode is the metadata that an inode has once, for all its names. A catalog alone keeps the file attributes.
	OfInode = Mode | Owner | Mtime | Xattrs

	// Metadata is all that the source held of an entry beside type and body.
	Metadata = OfInode | Attrs | Nlink

	// StandsFor is where a stored file must not differ from an entry whose content is equal, to become a name of it.
	StandsFor = Type | Size | OfInode

	// Version is where an inode of the source must not differ from an entry to be the very version that was recorded: each
	// change moves the change time, and the rest says whether that can be relied on. See Unchanged.
	Version = Type | Size | Mode | Owner | Mtime | Ctime | Ino
)

// Diff gives the fields in which two entries differ. The numbers of names of two directories never do.
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

// DiffStat gives the fields in which an entry differs from an inode, of those that stat tells. The inode is one of the
// source, where Ino counts, or one of an archive, where Stored does. Of a type without a size of its own, a device number
// or a number of names, none of these differs.
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

// Unchanged is the rule that decides whether a file is read: it is not if everything that stat tells of it is what was
// recorded, and what was recorded is neither so recent that a later change could look the same, nor incomplete. Fields of
// Version that say nothing in this source are in ignore; then what they vouch for has to be looked at: see Ignored.
func Unchanged(was *index.Entry, st *fsat.Stat, ignore Fields) bool {
	return was.Flags&(index.Racy|index.Torn|index.Unread) == 0 && DiffStat(was, st)&(Version&^ignore) == 0
}

// Ignored gives what Unchanged is to ignore of a source whose change times or inode numbers say nothing. Without change
// times nothing tells that extended attributes or file attributes have changed.
func Ignored(ctime, inode bool) (f Fields) {
	f.mark(ctime, Ctime)
	f.mark(inode, Ino)
	return f
}

// Settable gives the fields that can be set of an inode of a type, of those that stat tells: nobody can set the mode of a
// symbolic link.
func Settable(t index.Type) Fields {
	if t == index.Symlink {
		return Owner | Mtime
	}
	return Owner | Mtime | Mode
}

// DiffStored gives the fields in which a stored file is not as its entry says, of those that stat tells: whoever writes to
// one moves its times. What the archive could not hold (the flags of the entry say so) is no difference. In an archive that
// was copied, Stored differs everywhere.
func DiffStored(e *index.Entry, st *fsat.Stat) Fields {
	held := Type | Size | Rdev | Stored | Settable(e.Type)
	return DiffStat(e, st) & held &^ NotHeld(e.Flags)
}

// notHeld goes with each other: a field, and the flag of an entry whose stored file does not hold that.
var notHeld = [...]struct {
	field Fields
	flag  index.Flags
}{
	{Owner, index.OwnerNotHeld}, {Mode, index.ModeNotHeld}, {Mtime, index.TimeNotHeld}, {Xattrs, index.XattrsNotHeld},
}

// NotHeld gives the fields that a stored file does not hold, as the flags of its entry say.
func NotHeld(flags index.Flags) (f Fields) {
	for _, n := range notHeld {
		f.mark(flags&n.flag != 0, n.field)
	}
	return f
}

// Flags gives the flags of an entry whose stored file does not hold the fields.
func (f Fields) Flags() (flags index.Flags) {
	for _, n := range notHeld {
		if f&n.field != 0 {
			flags |= n.flag
		}
	}
	return flags
}

// fieldNames are the names of metadata in what programs read.
var fieldNames = [...]struct {
	field Fields
	name  string
}{
	{Mode, "mode"}, {Owner, "owner"}, {Mtime, "mtime"}, {Xattrs, "xattrs"}, {Attrs, "attributes"}, {Nlink, "links"},
}

// Names gives the names of the metadata in a set, for programs: some of "mode", "owner", "mtime", "xattrs", "attributes"
// (those of chattr) and "links", in this order. Other fields have none.
func (f Fields) Names() (list []string) {
	for _, n := range fieldNames {
		if f&n.field != 0 {
			list = append(list, n.name)
		}
	}
	return list
}
