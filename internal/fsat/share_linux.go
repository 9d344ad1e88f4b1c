package fsat

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The idle class of ioprio_set(2).
const (
	ioprioWhoProcess = 1 // one thread
	ioprioIdle       = 3 << 13
)

// IdleIO makes this process use disks only while no other process does, from now on. A new thread inherits this from
// the thread that starts it. The scheduler of each disk decides whether it has an effect.
func IdleIO() error {
	for done := map[string]bool{}; ; {
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		before := len(done)
		for _, thread := range list {
			if done[thread.Name()] {
				continue
			}
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(id), ioprioIdle)
			if errno != 0 && errno != unix.ESRCH { // ended meanwhile
				return os.NewSyscallError("ioprio_set", errno)
			}
			done[thread.Name()] = true
		}
		if len(done) == before {
			return nil
		}
	}
}

// WaitShared is LockShared that waits while another process has the exclusive lock. On a file system without such
// locks it does nothing.
func WaitShared(fd int) error {
	for {
		err := unix.Flock(fd, unix.LOCK_SH)
		if err == unix.EINTR {
			continue
		}
		if isUnlockable(err) {
			return nil
		}
		return err
	}
}

// TryLock is LockExclusive that treats a file system without locks as one on which the lock is free.
func TryLock(fd int) (bool, error) {
	ok, err := LockExclusive(fd)
	if isUnlockable(err) {
		return true, nil
	}
	return ok, err
}

func isUnlockable(err error) bool {
	return is(err, unix.ENOLCK, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL, unix.EBADF) || errors.Is(err, fs.ErrPermission)
}
