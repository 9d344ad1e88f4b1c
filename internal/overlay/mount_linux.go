package overlay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
)

// Layers are the folders of an overlay, by their handles; upper and work must be on one file system.
type Layers struct {
	Lower, Upper, Work int
	Name               string // device of the mount, as shown to people; one word
	// UserXattr keeps the kernel's notes in user.overlay.* instead of trusted.overlay.*, which a user namespace
	// requires. Folders of the lower layer can then be renamed only by programs that copy after a rename has failed.
	UserXattr bool
	// Index keeps names together that are links of one lower inode; without it they become separate files when one is
	// changed. It has a price if that inode has further names outside of the lower folder: a removed name still takes
	// space, and is copied first. If the kernel may not use file handles, it silently does without an index; see
	// Indexed.
	Index bool
}

// NeedsUserXattr tries on an open folder whether the notes have to go to user.overlay.*.
func NeedsUserXattr(fd int) (bool, error) {
	for _, space := range []string{"trusted", "user"} {
		name := space + ".snapcopy-probe"
		err := unix.Fsetxattr(fd, name, []byte("1"), 0)
		if err == nil {
			return space == "user", unix.Fremovexattr(fd, name)
		}
		if !fsat.IsRefused(err) {
			return false, err
		}
	}
	return false, ErrNoXattrs
}

// New makes an overlay that is not mounted yet: the returned handle leads into it, and closing the handle ends the
// overlay unless it was attached. It takes restrictive mount flags (nosuid, nodev, noexec) from the mount of the
// folder like.
//
// New fails with ErrInUse if the upper folder is part of another overlay, and with ErrOtherLower if it belongs to
// another lower folder. The kernel checks that only for an overlay with an index, so New always makes one with an
// index first, and drops it if Index is false.
//
// Options: redirect_dir, because without it rename(2) of a folder fails. No metacopy: a copied file is copied with its
// content.
func New(l Layers, like int) (fd int, err error) {
	if !l.Index {
		asked := l
		asked.Index = true
		probe, err := create(asked)
		if err = errors.Join(err, fsat.Close(probe)); err != nil {
			return fsat.NoDir, err
		}
	}
	fs, err := create(l)
	if err != nil {
		return fsat.NoDir, err
	}
	defer func() { err = errors.Join(err, fsat.Close(fs)) }()
	attrs, err := attrsOf(like)
	if err != nil {
		return fsat.NoDir, err
	}
	if fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs); err != nil {
		return fsat.NoDir, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// create makes the file system. Closing the handle ends it, unless it was mounted.
func create(l Layers) (fs int, err error) {
	fs, err = unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	switch {
	case err == unix.EPERM:
		return fsat.NoDir, ErrNotPermitted
	case err == unix.ENODEV:
		return fsat.NoDir, errors.New("this kernel has no overlay file system")
	case err != nil:
		return fsat.NoDir, fmt.Errorf("fsopen: %w", err)
	}
	if err = configure(fs, l); err == nil {
		if err = unix.FsconfigCreate(fs); err != nil {
			err = createError(fs, err)
		}
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fs))
	}
	return fs, nil
}

func configure(fs int, l Layers) error {
	if err := unix.FsconfigSetString(fs, "source", l.Name); err != nil {
		return fmt.Errorf("set source: %w", err)
	}
	index := "off"
	if l.Index {
		index = "on"
	}
	options := []struct{ key, value string }{{"index", index}, {"metacopy", "off"}, {"xino", "auto"}}
	if l.UserXattr {
		if err := unix.FsconfigSetFlag(fs, "userxattr"); err != nil {
			return fmt.Errorf("set userxattr: %w", err)
		}
		options = options[:1] // the others contradict it, or are the default
	} else {
		options = append(options, struct{ key, value string }{"redirect_dir", "on"})
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fs, o.key, o.value); err != nil {
			return withLog(fs, fmt.Errorf("set %s=%s: %w", o.key, o.value, err))
		}
	}
	for _, layer := range []struct {
		keys []string
		fd   int
	}{{[]string{"lowerdir+", "lowerdir"}, l.Lower}, {[]string{"upperdir"}, l.Upper}, {[]string{"workdir"}, l.Work}} {
		if err := setLayer(fs, layer.keys, layer.fd); err != nil {
			return withLog(fs, fmt.Errorf("set %s: %w", layer.keys[0], err))
		}
	}
	return nil
}

// setLayer passes a folder by its handle, which kernels accept from 6.13 on, or by a path without any byte that would
// need an escape. A long path chosen by a person could not be passed as text at all.
func setLayer(fs int, keys []string, fd int) error {
	var err error
	for _, key := range keys {
		if err = unix.FsconfigSetFd(fs, key, fd); err == nil {
			return nil
		}
		if err = unix.FsconfigSetString(fs, key, "/proc/self/fd/"+strconv.Itoa(fd)); err == nil {
			return nil
		}
	}
	return err
}

func createError(fs int, err error) error {
	switch err {
	case unix.EBUSY:
		return ErrInUse
	case unix.ESTALE:
		return ErrOtherLower
	case unix.EPERM:
		return ErrNotPermitted
	}
	return withLog(fs, fmt.Errorf("mount overlay: %w", err))
}

// withLog adds the kernel's messages to an error. Many go only to the kernel's log; then the error points there.
func withLog(fs int, err error) error {
	var lines []string
	buf := make([]byte, 4096)
	for {
		n, readErr := unix.Read(fs, buf)
		if readErr != nil || n <= 0 {
			break
		}
		lines = append(lines, strings.TrimSpace(strings.TrimLeft(string(buf[:n]), "eiw ")))
	}
	if len(lines) == 0 {
		return fmt.Errorf("%w (the kernel's log, dmesg, may say why)", err)
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(lines, "; "))
}

func attrsOf(fd int) (int, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	attrs := 0
	for flag, attr := range map[int64]int{
		unix.ST_NOSUID: unix.MOUNT_ATTR_NOSUID, unix.ST_NODEV: unix.MOUNT_ATTR_NODEV,
		unix.ST_NOEXEC: unix.MOUNT_ATTR_NOEXEC, unix.ST_NOATIME: unix.MOUNT_ATTR_NOATIME,
	} {
		if int64(s.Flags)&flag != 0 {
			attrs |= attr
		}
	}
	return attrs, nil
}

// Attach mounts an overlay on the open folder dir.
func Attach(fd, dir int) error {
	return unix.MoveMount(fd, "", dir, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Detach unmounts name in dir. It fails with ErrBusy while a file in the mount is in use.
func Detach(dir int, name string) error {
	path := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
	if err == unix.EBUSY {
		return ErrBusy
	}
	return err
}

// Indexed reports whether the kernel can keep an index in the work folder of an overlay.
func Indexed(work int) (bool, error) {
	var st fsat.Stat
	err := fsat.StatAt(work, "index", &st)
	if fsat.IsGone(err) {
		return false, nil
	}
	return err == nil, err
}
