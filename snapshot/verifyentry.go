package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// compare compares what the file system says of an entry with what was recorded, as far as the mirror could hold it.
func (v *verifier) compare(e *index.Entry, st *fsat.Stat) error {
	if wrong := differences(e, st); len(wrong) > 0 {
		return damagef("%s", strings.Join(wrong, "; "))
	}
	return nil
}

// differences puts into words what the file system says of a stored file that is not as recorded.
func differences(e *index.Entry, st *fsat.Stat) (wrong []string) {
	differ := func(what string, is, was any) { wrong = append(wrong, fmt.Sprintf("%s is %v, was %v", what, is, was)) }
	if tree.TypeOf(st.Type) != e.Type {
		return []string{fmt.Sprintf("it is a %s, was a %s", tree.TypeOf(st.Type), e.Type)}
	}
	if e.Flags&index.OwnerNotHeld == 0 && (st.UID != e.UID || st.GID != e.GID) {
		differ("owner", fmt.Sprint(st.UID, ":", st.GID), fmt.Sprint(e.UID, ":", e.GID))
	}
	if e.Flags&index.ModeNotHeld == 0 && e.Type != index.Symlink && st.Mode != e.Mode {
		differ("mode", fmt.Sprintf("%04o", st.Mode), fmt.Sprintf("%04o", e.Mode))
	}
	if e.Flags&index.TimeNotHeld == 0 && st.Mtime != e.Mtime {
		differ("modification time", clock(st.Mtime), clock(e.Mtime))
	}
	if e.Type == index.File && uint64(st.Size) != e.Size {
		differ("size", st.Size, e.Size)
	}
	if (e.Type == index.CharDevice || e.Type == index.BlockDevice) && (st.Major != e.Major || st.Minor != e.Minor) {
		differ("device number", fmt.Sprint(st.Major, ":", st.Minor), fmt.Sprint(e.Major, ":", e.Minor))
	}
	return wrong
}

func clock(t index.Time) string {
	return time.Unix(t.Sec, int64(t.Nsec)).UTC().Format("2006-01-02T15:04:05.999999999Z")
}

// groupKey is a link group, or a part of one that could not be kept together: then its stored file tells the parts apart.
type groupKey struct {
	inode inodeKey
	part  uint64
}

// compareLinks makes sure that names share a stored file exactly if they did in the source.
func (v *verifier) compareLinks(e *index.Entry, st *fsat.Stat) error {
	if e.Type != index.File && !e.Linked() {
		return nil // unchanged symbolic links and special files share inodes across snapshots only
	}
	if !e.Linked() {
		if !v.used.Claim(st.Ino) {
			return damagef("shares its stored file with another name of this snapshot; they were separate")
		}
		return nil
	}
	key := groupKey{inode: inodeKey{e.Dev, e.Ino}}
	if e.Flags&index.LinksNotHeld != 0 {
		key.part = st.Ino
	}
	v.lock.Lock()
	ino, seen := v.groups[key]
	if !seen {
		v.groups[key] = st.Ino
	}
	v.lock.Unlock()
	switch {
	case !seen && !v.used.Claim(st.Ino):
		return damagef("shares its stored file with another name of this snapshot; they were separate")
	case seen && ino != st.Ino && v.archive.Info.Capabilities.HardLinks:
		return damagef("no longer shares its stored file with the other names it was a hard link of")
	}
	return nil
}

// compareXattrs compares extended attributes.
func (v *verifier) compareXattrs(e *index.Entry, read func() ([]fsat.Xattr, error)) error {
	if e.Flags&index.XattrsNotHeld != 0 {
		return nil
	}
	set, err := read()
	if err != nil {
		return lookFailed("read extended attributes", err)
	}
	have := set
	if index.HashXattrs(have) == e.XattrHash {
		return nil
	}
	want, err := v.catalog.Xattrs(e.Xattrs)
	if err != nil {
		return damagef("catalog: %w", err)
	}
	if wrong := xattrDifference(have, want, v.root); wrong != "" {
		return damagef("%s", wrong)
	}
	return nil
}

// xattrDifference says of one extended attribute that it is not as recorded; "": all are. Those that a security module puts
// on every file by itself, and without root those that only root can see, do not count.
func xattrDifference(have, want []index.Xattr, root bool) string {
	for _, x := range want {
		i := slices.IndexFunc(have, func(h index.Xattr) bool { return h.Name == x.Name })
		switch {
		case i < 0 && (root || !strings.HasPrefix(x.Name, "trusted.")):
			return fmt.Sprintf("extended attribute %q is gone", x.Name)
		case i >= 0 && !bytes.Equal(have[i].Value, x.Value):
			return fmt.Sprintf("extended attribute %q has changed", x.Name)
		}
	}
	for _, h := range have {
		known := slices.ContainsFunc(want, func(x index.Xattr) bool { return x.Name == h.Name })
		if !known && !strings.HasPrefix(h.Name, "security.") {
			return fmt.Sprintf("extended attribute %q was added", h.Name)
		}
	}
	return ""
}
