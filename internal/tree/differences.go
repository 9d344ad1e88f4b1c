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

// Differences returns words for the fields of DiffStored: the value of the stored file, which st describes, and the
// value in its entry. If the types differ, no other difference is listed. The inode number is never listed: it has no
// meaning for people, and in an archive that was copied it differs everywhere.
func Differences(e *index.Entry, st *fsat.Stat) (wrong []string) {
	differ := DiffStored(e, st) &^ Stored
	if differ == 0 {
		return nil
	}
	if differ&Type != 0 {
		return []string{fmt.Sprintf("it is a %s, was a %s", TypeOf(st.Type), e.Type)}
	}
	for _, w := range []struct {
		field   Fields
		name    string
		is, was any
	}{
		{Owner, "owner", fmt.Sprint(st.UID, ":", st.GID), fmt.Sprint(e.UID, ":", e.GID)},
		{Mode, "mode", fmt.Sprintf("%04o", st.Mode), fmt.Sprintf("%04o", e.Mode)},
		{Mtime, "modification time", clock(st.Mtime), clock(e.Mtime)},
		{Size, "size", st.Size, e.Size},
		{Rdev, "device number", fmt.Sprint(st.Major, ":", st.Minor), fmt.Sprint(e.Major, ":", e.Minor)},
	} {
		if differ&w.field != 0 {
			wrong = append(wrong, fmt.Sprintf("%s is %v, was %v", w.name, w.is, w.was))
		}
	}
	return wrong
}

func clock(t index.Time) string {
	return time.Unix(t.Sec, int64(t.Nsec)).UTC().Format("2006-01-02T15:04:05.999999999Z")
}

// XattrDifference returns words for the first extended attribute that differs from its record, or "". It ignores
// attributes that a security module sets on every file by itself, and, without root, those that only root can see.
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
