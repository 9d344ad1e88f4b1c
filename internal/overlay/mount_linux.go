package overlay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
)

// Layers are what an overlay is made of: handles of three folders, upper and work on one file system.
type Layers struct {
	Lower, Upper, Work int
	Name               string // shown as the device of the mount; one word
	// UserXattr keeps the notes in user.overlay.* instead of trusted.overlay.*, as it has to be in a user namespace.
	// Folders of the lower layer can then not be renamed, except by programs that copy where a rename fails.
	UserXattr bool
	// Index keeps names together that are links of one inode below: otherwise they become separate files when one is
	// changed. It has a price where that inode has names that are not in the lower folder: what is removed takes space
	// all the same, and is copied first. Where the kernel may not use file handles it silently does without; see Indexed.
	Index bool
}

// NeedsUserXattr finds out, by trying it on an open folder, where the notes can be kept.
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

// New makes an overlay that has no place yet: the handle returned leads into it, and closing it ends the overlay unless
// it was attached. Flags of a mount that forbid something (nosuid, nodev, noexec) are taken over from the one that
// holds the folder like.
//
// It fails with ErrInUse if the upper folder is part of another overlay, and with ErrOtherLower if it belongs to another
// lower folder. The kernel refuses that only to an overlay with an index, so one is made in any case, and given up.
//
// Options: redirect_dir, because without it rename(2) of a folder fails. No metacopy: what is copied is copied with its
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
		options = options[:1] // the others contradict it, or are so anyway
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

// setLayer gives a folder by its handle, as kernels from 6.13 on take it, or by a path without any byte that would need
// an escape. A long path of a person's choosing could not be given as text at all.
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

// withLog adds what the kernel has to say. Much of it goes to the kernel's log only, which is then where to look.
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

// Attach gives an overlay its place: the open folder dir.
func Attach(fd, dir int) error {
	return unix.MoveMount(fd, "", dir, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Detach takes away what is mounted at name in dir. It fails with ErrBusy while something there is in use.
func Detach(dir int, name string) error {
	path := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
	if err == unix.EBUSY {
		return ErrBusy
	}
	return err
}

// Indexed reports, of the work folder that an overlay was made with, whether the kernel can have an index there.
func Indexed(work int) (bool, error) {
	var st fsat.Stat
	err := fsat.StatAt(work, "index", &st)
	if fsat.IsGone(err) {
		return false, nil
	}
	return err == nil, err
}
