package fsat

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Guards: every thread of the process is in the idle class, those started later too. The other tests of this process
// do not mind.
func TestIdleIO(t *testing.T) {
	if err := IdleIO(); IsRefused(err) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	for range 20 { // each needs a thread of its own meanwhile
		go func() {
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
			started <- struct{}{}
		}()
	}
	for range 20 {
		<-started
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		class, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(id), 0)
		if errno == 0 && class>>13 != 3 {
			t.Errorf("thread %d is in class %d", id, class>>13)
		}
	}
}

// Guards: shared locks get along with each other and keep an exclusive one away, until they end.
func TestWaitShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	open := func() int {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	one, two, alone := open(), open(), open()
	for _, fd := range []int{one, two} {
		if err := WaitShared(fd); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []bool{false, false, true} {
		if ok, err := TryLock(alone); ok != want || err != nil {
			t.Errorf("%v, %v; want %v", ok, err, want)
		}
		if err := Close(one); err != nil {
			t.Error(err)
		}
		one, two = two, NoDir
	}
	if err := Close(alone); err != nil {
		t.Error(err)
	}
}
