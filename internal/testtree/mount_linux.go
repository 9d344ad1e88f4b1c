package testtree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/testtools"
)

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// A Disk is a file system of its own for one test, on a sparse file.
type Disk struct {
	Path  string // where it is mounted
	image string
	kind  string
	t     testing.TB
}

var makers = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", "-O", "^resize_inode"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
	"vfat":  {"mkfs.vfat"},
	"exfat": {"mkfs.exfat"},
}

// NewDisk makes a file system of a kind (ext4, xfs, btrfs, vfat, exfat) and size and mounts it for one test. The test
// is skipped, with the reason, where that cannot be done.
func NewDisk(t testing.TB, kind string, size int64, extra ...string) *Disk {
	t.Helper()
	d, err := MakeDisk(t.TempDir(), kind, size, extra...)
	var impossible *ImpossibleError
	if errors.As(err, &impossible) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("testtree: %v", err)
	}
	d.t = t
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Errorf("testtree: %v", err)
		}
	})
	return d
}

// An ImpossibleError says why a file system cannot be mounted on this machine, or by this user.
type ImpossibleError struct{ Reason string }

func (e *ImpossibleError) Error() string { return e.Reason }

// MakeDisk is NewDisk for a file system that several tests share: image and mount point are in folder, and Unmount is
// up to the caller.
func MakeDisk(folder, kind string, size int64, extra ...string) (*Disk, error) {
	if why := testtools.NotRoot(); why != "" {
		return nil, &ImpossibleError{why}
	}
	maker := makers[kind]
	if tool, ok := testtools.Find(maker[0]); ok {
		if _, err := exec.LookPath(maker[0]); err != nil {
			return nil, &ImpossibleError{tool.Needed()}
		}
	}
	d := &Disk{Path: filepath.Join(folder, "disk"), image: filepath.Join(folder, "image"), kind: kind}
	f, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close(), os.Mkdir(d.Path, 0o755))
	}
	if err == nil {
		err = run(maker[0], append(append(maker[1:len(maker):len(maker)], extra...), d.image)...)
	}
	if err != nil {
		return nil, err
	}
	if err := d.mount(""); err != nil {
		return nil, &ImpossibleError{fmt.Sprintf("cannot mount %s here: %v", kind, err)}
	}
	return d, nil
}

// mount asks the kernel, and where that does not know the file system, a program that does.
func (d *Disk) mount(options string) error {
	err := run("mount", "-o", "loop"+options, d.image, d.Path)
	if err != nil && d.kind == "exfat" && options == "" {
		if program, lookErr := exec.LookPath("mount.exfat-fuse"); lookErr == nil {
			return d.mountByProgram(program)
		}
	}
	return err
}

// mountByProgram uses a program that wants a block device.
func (d *Disk) mountByProgram(program string) error {
	out, err := exec.Command("losetup", "--find", "--show", d.image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(out))
	// Detached at once, the device goes away with the last who uses it, which is the program.
	return errors.Join(run(program, device, d.Path), run("losetup", "--detach", device))
}

// Unmount takes the file system away; it is no error if it is not mounted.
func (d *Disk) Unmount() error {
	mounted, err := isMount(d.Path)
	if err == nil && mounted {
		err = unmount(d.Path)
	}
	if err != nil {
		return err
	}
	return d.waitForRelease()
}

// waitForRelease waits until the image has no block device any more. The kernel keeps a file system that was unmounted for
// as long as anything uses it, such as an overlay that it is still taking apart; mounted again meanwhile, the image would
// be that same file system, whose power may have been cut.
func (d *Disk) waitForRelease() error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		device, err := d.device()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if time.Since(begin) > 20*time.Second {
			return fmt.Errorf("%s: %s is unmounted and still in use", device, d.image)
		}
	}
}

// device returns the folder in which the kernel describes the image's block device.
func (d *Disk) device() (string, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		image, err := os.ReadFile(file) // it may be gone by now
		if err == nil && strings.TrimSpace(string(image)) == d.image {
			return strings.TrimSuffix(file, "/loop/backing_file"), nil
		}
	}
	return "", &fs.PathError{Op: "find the block device of", Path: d.image, Err: fs.ErrNotExist}
}

// unmount waits a little: a program that another test has just started has our open files until it runs.
func unmount(path string) error {
	for try := 1; ; try++ {
		err := run("umount", path)
		if err == nil || try == 20 || !strings.Contains(err.Error(), "busy") {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Remount mounts the file system again, after Unmount or after its power was cut. options may be empty.
func (d *Disk) Remount(options string) {
	d.t.Helper()
	if options != "" {
		options = "," + options
	}
	if err := errors.Join(d.Unmount(), d.mount(options)); err != nil {
		d.t.Fatalf("testtree: %v", err)
	}
}

// Spoil changes a byte where a file system with checksums (btrfs) has content, which cannot be read any more then.
func (d *Disk) Spoil(content []byte) {
	d.t.Helper()
	err := d.Unmount()
	if err == nil {
		var image []byte
		image, err = os.ReadFile(d.image)
		at := bytes.Index(image, content)
		if err == nil && at < 0 {
			err = fmt.Errorf("%s does not contain the content", d.image)
		}
		if err == nil {
			image[at] ^= 1
			err = os.WriteFile(d.image, image, 0o600)
		}
	}
	if err = errors.Join(err, d.mount("")); err != nil {
		d.t.Fatalf("testtree: %v", err)
	}
}

func isMount(path string) (bool, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	return strings.Contains(string(text), " "+path+" "), err
}

// Tmpfs mounts a file system in memory at path for the rest of the test. The test is skipped where that cannot be done.
func Tmpfs(t testing.TB, path, options string) {
	t.Helper()
	mount(t, path, "-t", "tmpfs", "-o", options, "tmpfs", path)
}

// Bind makes the folder from appear at path, too, for the rest of the test.
func Bind(t testing.TB, from, path string) {
	t.Helper()
	mount(t, path, "--bind", from, path)
}

func mount(t testing.TB, path string, args ...string) {
	t.Helper()
	NeedRoot(t)
	if _, err := os.Stat(path); err != nil { // a fault of the test, which would otherwise never run
		t.Fatalf("testtree: mount point: %v", err)
	}
	if err := run("mount", args...); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(path); err != nil {
			t.Errorf("testtree: %v", err)
		}
	})
}
