package overlay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
)

// Prefix returns the beginning of the names of the kernel's own extended attributes.
func Prefix(userXattr bool) string {
	if userXattr {
		return "user.overlay."
	}
	return "trusted.overlay."
}

// Below returns the lower folder that shows through a folder of the upper layer: "" if none does, "." for the folder
// of the same name below the parent's lower folder, "name" for another folder there, "/a/b" for a path from the root
// of the lower layer.
func Below(dir int, name string, userXattr bool) (string, error) {
	path := at(dir, name)
	opaque, err := note(path, Prefix(userXattr)+"opaque")
	if err != nil || opaque == "y" {
		return "", err
	}
	redirect, err := note(path, Prefix(userXattr)+"redirect")
	if err != nil || redirect == "" {
		return ".", err
	}
	return redirect, nil
}

func note(path, name string) (string, error) {
	buf := make([]byte, 512)
	for {
		n, err := unix.Lgetxattr(path, name, buf)
		switch err {
		case nil:
			return string(buf[:n]), nil
		case unix.ENODATA, unix.ENOTSUP:
			return "", nil
		case unix.EINTR:
		case unix.ERANGE:
			buf = make([]byte, 64<<10) // the largest there can be
		default:
			return "", fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// RememberTime saves the modification time of name in dir, "." for dir itself, in an attribute that Strip removes, so
// that the time survives an interruption of the code that is about to change it.
func RememberTime(dir int, name string, userXattr bool, t fsat.Time) error {
	value := fmt.Sprintf("%d %d", t.Sec, t.Nsec)
	return unix.Lsetxattr(at(dir, name), Prefix(userXattr)+timeNote, []byte(value), 0)
}

const timeNote = "snapcopy-mtime"

// RememberedTime returns the time that RememberTime saved, or now if it saved none.
func RememberedTime(dir int, name string, userXattr bool, now fsat.Time) (t fsat.Time, err error) {
	text, err := note(at(dir, name), Prefix(userXattr)+timeNote)
	if err != nil || text == "" {
		return now, err
	}
	_, err = fmt.Sscanf(text, "%d %d", &t.Sec, &t.Nsec)
	return t, err
}

// ErrNotCopied is returned by Strip for a file whose content is still in the lower layer.
var ErrNotCopied = errors.New("its content was not copied")

// Strip removes the kernel's attributes from name in dir, "." for dir itself. It sets the file attributes that the
// kernel records there for programs, immutable and append-only.
func Strip(dir int, name string, userXattr bool) error {
	path := at(dir, name)
	names, err := listed(path)
	if err != nil {
		return err
	}
	prefix := Prefix(userXattr)
	var protect string
	for _, n := range names {
		what, ours := strings.CutPrefix(n, prefix)
		switch {
		case !ours:
			continue
		case what == "metacopy":
			return ErrNotCopied
		case what == "protattr":
			if protect, err = note(path, n); err != nil {
				return err
			}
		}
		if err := unix.Lremovexattr(path, n); err != nil && err != unix.ENODATA {
			return fmt.Errorf("remove %s: %w", n, err)
		}
	}
	if protect == "" {
		return nil
	}
	return protectAs(dir, name, protect)
}

// protectAs sets the file attributes whose letters a protattr lists (fs/overlayfs/overlayfs.h).
func protectAs(dir int, name, letters string) (err error) {
	const immutable, appendOnly = 0x10, 0x20
	var attrs uint32
	if strings.Contains(letters, "i") {
		attrs |= immutable
	}
	if strings.Contains(letters, "a") {
		attrs |= appendOnly
	}
	fd, err := fsat.OpenFile(dir, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	return fsat.SetAttrs(fd, attrs, attrs)
}

func listed(path string) ([]string, error) {
	var small [512]byte
	buf := small[:]
	for {
		n, err := unix.Llistxattr(path, buf)
		switch err {
		case nil:
			return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
		case unix.ENOTSUP:
			return nil, nil
		case unix.EINTR:
		case unix.ERANGE:
			buf = make([]byte, 64<<10)
		default:
			return nil, fmt.Errorf("list extended attributes: %w", err)
		}
	}
}

// at is a path to name in an open folder that resolves no element that others can change.
func at(dir int, name string) string { return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name }
