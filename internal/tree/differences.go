package tree

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Differences puts into words, one phrase each, how an inode differs from the entry that describes it, as far as the archive
// could hold what the entry says.
func Differences(e *index.Entry, st *fsat.Stat) (wrong []string) {
	differ := func(what string, is, was any) { wrong = append(wrong, fmt.Sprintf("%s is %v, was %v", what, is, was)) }
	if TypeOf(st.Type) != e.Type {
		return []string{fmt.Sprintf("it is a %s, was a %s", TypeOf(st.Type), e.Type)}
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

// XattrDifference says of one extended attribute that it is not as recorded; "": all are. Those that a security module puts
// on every file by itself, and without root those that only root can see, do not count.
func XattrDifference(have, want []index.Xattr, root bool) string {
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
