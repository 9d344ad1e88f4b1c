package testtree

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FuseKinds are the file systems in user space that Fuse knows.
var FuseKinds = []string{"bindfs", "fuse-overlayfs", "unionfs-fuse", "sshfs"}

// Fuse mounts a new folder through a file system in user space for one test, and returns the path of the mount. It
// skips the test, with the reason, if that is impossible.
func Fuse(t testing.TB, kind string) string {
	t.Helper()
	NeedRoot(t)
	Need(t, kind)
	dir := t.TempDir()
	sub := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatalf("testtree: %v", err)
		}
		return path
	}
	at := sub("mount")
	var err error
	switch kind {
	case "bindfs":
		err = run("bindfs", sub("below"), at)
	case "fuse-overlayfs":
		err = run("fuse-overlayfs", "-o", "lowerdir="+sub("lower")+",upperdir="+sub("upper")+",workdir="+sub("work"), at)
	case "unionfs-fuse":
		err = run("unionfs-fuse", "-o", "cow", sub("below")+"=RW", at)
	case "sshfs":
		mountSSHFS(t, sub("below"), at)
	}
	if err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(at); err != nil {
			t.Errorf("testtree: %v", err)
		}
	})
	return at
}

// sftpServer is where Debian has the program that answers sshfs; here it does without a network.
const sftpServer = "/usr/lib/openssh/sftp-server"

func mountSSHFS(t testing.TB, from, at string) {
	t.Helper()
	if _, err := os.Stat(sftpServer); err != nil {
		t.Skip("needs " + sftpServer + " (package openssh-sftp-server)")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("testtree: %v", err)
	}
	ends := [2]*os.File{os.NewFile(uintptr(pair[0]), "server"), os.NewFile(uintptr(pair[1]), "client")}
	for i, cmd := range []*exec.Cmd{exec.Command(sftpServer), exec.Command("sshfs", "-f", "-o", "passive,no_contain_symlinks", ":"+from, at)} {
		cmd.Stdin, cmd.Stdout = ends[i], ends[i]
		if err := cmd.Start(); err != nil {
			t.Fatalf("testtree: %v", err)
		}
		t.Cleanup(func() { // after the unmount it ends by itself
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		if err := ends[i].Close(); err != nil {
			t.Fatalf("testtree: %v", err)
		}
	}
	for range 500 {
		if mounted, err := isMount(at); err == nil && mounted {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Skip("cannot mount here: sshfs did not begin")
}
