// Package testtools lists the programs that tests compare with or build their cases by, and where Debian has them.
// A test asks for one by testtree.Need; the check of the project looks for all of them before it begins.
package testtools

import (
	"os"
	"os/exec"
	"path/filepath"
)

// A Tool is a program that not every machine has.
type Tool struct {
	Program string
	Package string // of Debian and Ubuntu
	Root    bool   // used only by tests that need root
}

// All are the tools that tests ask for, in the order of their names.
var All = []Tool{
	{"b3sum", "b3sum", false},
	{"bash", "bash", false},
	{"bsdtar", "libarchive-tools", false},
	{"btrfs", "btrfs-progs", true},
	{"chattr", "e2fsprogs", false},
	{"git", "git", false},
	{"losetup", "mount", true},
	{"lsattr", "e2fsprogs", false},
	{"mkfs.btrfs", "btrfs-progs", true},
	{"mkfs.exfat", "exfatprogs", true},
	{"mkfs.ext4", "e2fsprogs", true},
	{"mkfs.vfat", "dosfstools", true},
	{"mkfs.xfs", "xfsprogs", true},
	{"mount", "mount", true},
	{"mount.exfat-fuse", "exfat-fuse", true},
	{"mtree", "mtree-netbsd", false},
	{"restic", "restic", false},
	{"rsync", "rsync", false},
	{"setfacl", "acl", false},
	{"setfattr", "attr", false},
	{"setpriv", "util-linux", true},
	{"tar", "tar", false},
	{"unshare", "util-linux", false},
	{"zstd", "zstd", false},
}

// Needed is the reason for which a test is skipped that lacks the tool.
func (tool Tool) Needed() string { return "needs " + tool.Program + " (package " + tool.Package + ")" }

// Find gives the tool of a name.
func Find(program string) (Tool, bool) {
	for _, tool := range All {
		if tool.Program == program {
			return tool, true
		}
	}
	return Tool{}, false
}

// Path is where the program is. An ordinary user's PATH often lacks the folders for root's programs, which are looked
// at, too.
func (tool Tool) Path() (string, bool) {
	if path, err := exec.LookPath(tool.Program); err == nil {
		return path, true
	}
	if !tool.Root || os.Geteuid() == 0 {
		return "", false
	}
	for _, folder := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, tool.Program)); err == nil {
			return path, true
		}
	}
	return "", false
}
