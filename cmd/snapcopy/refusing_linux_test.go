package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refusable are the system calls that older kernels do not know, and sandboxes refuse.
var refusable = map[string]uint32{
	"statx": unix.SYS_STATX, "openat2": unix.SYS_OPENAT2, "renameat2": unix.SYS_RENAMEAT2,
	"copy_file_range": unix.SYS_COPY_FILE_RANGE, "utimensat": unix.SYS_UTIMENSAT, "fchmodat2": unix.SYS_FCHMODAT2,
	"listxattrat": unix.SYS_LISTXATTRAT, "getxattrat": unix.SYS_GETXATTRAT, "setxattrat": unix.SYS_SETXATTRAT,
	"ioprio_set": unix.SYS_IOPRIO_SET, "mknodat": unix.SYS_MKNODAT, "syncfs": unix.SYS_SYNCFS,
}

// refusing runs a command in a sandbox, as old containers are: refusing ENOSYS|EPERM CALL[,CALL...] COMMAND ARG...
func refusing() {
	errno := uint32(unix.ENOSYS)
	if os.Args[1] == "EPERM" {
		errno = uint32(unix.EPERM)
	}
	const number = 0 // where struct seccomp_data has the number of the call
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	for call := range strings.SplitSeq(os.Args[2], ",") {
		nr, ok := refusable[call]
		if !ok {
			panic(call)
		}
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	path := ""
	if err == nil {
		path, err = exec.LookPath(os.Args[3])
	}
	if err == nil {
		err = syscall.Exec(path, os.Args[3:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "refusing:", err)
	os.Exit(99)
}

func init() { helpers["refusing"] = refusing }
