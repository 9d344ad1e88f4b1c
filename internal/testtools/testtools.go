// Package testtools lists the tools that tests may miss on a machine: the programs that they compare with or build
// their cases by, with the Debian packages of these programs, and the rights of root. A test asks by testtree.Need and
// testtree.NeedRoot; the check of the project looks for all tools before it begins. The package needs only Go's
// standard library.
package testtools

// A Tool is a program that some machines lack.
type Tool struct {
	Program string
	Package string // of Debian and Ubuntu
	Root    bool   // used only by tests that need root
}

// All lists the tools that tests ask for, in the order of their names.
var All = []Tool{
	{"b3sum", "b3sum", false},
	{"bash", "bash", false},
	{"bindfs", "bindfs", true},
	{"bsdtar", "libarchive-tools", false},
	{"btrfs", "btrfs-progs", true},
	{"chattr", "e2fsprogs", false},
	{"fuse-overlayfs", "fuse-overlayfs", true},
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
	{"setcap", "libcap2-bin", true},
	{"setfacl", "acl", false},
	{"setfattr", "attr", false},
	{"setpriv", "util-linux", true},
	{"sshfs", "sshfs", true},
	{"strace", "strace", false},
	{"tar", "tar", false},
	{"unionfs-fuse", "unionfs-fuse", true},
	{"unshare", "util-linux", false},
	{"zstd", "zstd", false},
}

// Needed returns the reason for skipping a test on a machine without the tool.
func (tool Tool) Needed() string { return "needs " + tool.Program + " (package " + tool.Package + ")" }

// Find returns the tool of that name.
func Find(program string) (Tool, bool) {
	for _, tool := range All {
		if tool.Program == program {
			return tool, true
		}
	}
	return Tool{}, false
}
