package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

// longestTarget is how long a symbolic link may be: PATH_MAX less the final NUL, and XFS_SYMLINK_MAXLEN of xfs.
var longestTarget = map[string]int{"ext4": 4095, "xfs": 1023, "btrfs": 4095}

// Guards: symbolic links are kept as they are, whatever they point to, and a name may be a folder, a link to one and a
// folder again.
func TestSymlinks(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		l.stages(fmt.Sprintf(`
			dir d 0755
			file d/f 0644 "f" mtime=1000.5
			file d/g 0644 random=1500000:1
			dir d/sub 0700
			file d/sub/h 0600 "h"
			symlink dangling nowhere
			symlink absolute /etc/passwd
			symlink self self
			symlink ping pong
			symlink pong ping
			symlink up ../../../../../../../..
			symlink folder d
			symlink mine d/f owner=1234:4321 mtime=-1.000000001
			symlink odd "new\nline \xff\\ \t"
			symlink space " "
			symlink long %q`, strings.Repeat("x/", longestTarget[l.kind])[:longestTarget[l.kind]]),
			"mv d elsewhere\nsymlink d elsewhere",        // folder → link to it
			"rm d\nsymlink d /etc",                       // link changes
			"rm d\nmv elsewhere d",                       // and back
			"swap d folder",                              // both at once
			"rm d\nfile d 0644 \"now a file\"",           // link → file
			"rm d\nsymlink d \"now a file\"",             // file → link of the same length
			"set mine owner=4321:1234",                   // the link's own owner
			"set mine mtime=2.5\nset dangling mtime=5.5", // and its own time
		)
	})
}

// Guards: a symbolic link that the archive's file system cannot hold is in the catalog, counted, and restored.
func TestSymlinkTooLongForArchive(t *testing.T) {
	l := newLab(t, "ext4")
	l.arch = filepath.Join(folderOn(t, "xfs"), "archive")
	target := strings.Repeat("y", 4095)
	l.build("file f 0644 x\nsymlink long " + target)
	for range 2 {
		rep := l.runChanging()
		if rep.CatalogOnly.Entries != 1 || rep.Incomplete || l.entries(rep.Snapshot)["long"].Target != target {
			t.Errorf("not held: %+v, incomplete: %v", rep.CatalogOnly, rep.Incomplete)
		}
		to := filepath.Join(l.base, "restored")
		l.restore(rep.Snapshot, to)
		if got, err := os.Readlink(filepath.Join(to, "long")); err != nil || got != target {
			t.Errorf("restored: %d bytes, %v", len(got), err)
		}
		l.check(os.RemoveAll(to))
	}
	l.verify()
}

// Guards: a name may become any other kind of file from one run to the next.
func TestNamesChangeTheirKind(t *testing.T) {
	kinds := []string{"file x 0644 \"content\"", "dir x 0755\nfile x/f 0644 \"in it\"", "symlink x target", "fifo x 0600",
		"socket x 0600", "char x 0600 1:3", "block x 0600 7:1", "file x 0600 random=1200000:3", "link x y"}
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		l.build("file y 0644 \"a file with two names\"\nfile stays 0644 stays")
		var route []int
		for i := range kinds { // each change from one kind to another
			for j := range i {
				route = append(route, i, j)
			}
		}
		for n, kind := range route {
			if n > 0 {
				l.build("rm x")
			}
			l.build(kinds[kind])
			l.run()
		}
		l.intact()
		l.verify()
		for _, name := range l.order[len(l.order)-len(kinds):] {
			l.restored(name, nil)
		}
	})
}

// Guards: device numbers are kept, and nothing that is no regular file is ever opened: a pipe without a writer would
// hold the run up for good.
func TestSpecialFiles(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		largest := "4095:1048575"
		if l.kind == "xfs" {
			largest = "511:262143"
		}
		l.stages(fmt.Sprintf(`
			dir d 0755
			fifo p 0000 mtime=5.000000005 owner=7:8
			socket d/s 0777 mtime=-5.5
			char null 0666 1:3 owner=0:5
			char tape 0600 9:0
			char large 0600 %[1]s
			block disk 0660 8:17
			block large2 0600 %[1]s
			block zero 0600 0:0
			char whiteout 0000 0:0`, largest),
			"rm null\nchar null 0666 1:5",
			"rm disk\nchar disk 0660 8:17",
			"set p mode=0644\nset tape owner=1:1\nset d/s mtime=6.5",
			"mv d/s s\nmv p d/p")
	})
}

// Guards: names are bytes.
func TestNames(t *testing.T) {
	names := testtree.SharedNames(t)
	onEach(t, func(t *testing.T, l *lab) {
		var script, moves strings.Builder
		script.WriteString("dir as-folder 0755\ndir as-link 0755\ndir other 0755\n")
		for i, name := range names {
			fmt.Fprintf(&script, "file %q 0644 %q mtime=%d.5\n", name, name, i)
			fmt.Fprintf(&script, "dir %q 0755\nfile %q 0600 x\n", "as-folder/"+name, "as-folder/"+name+"/"+name)
			fmt.Fprintf(&script, "symlink %q %q\n", "as-link/"+name, name)
			fmt.Fprintf(&moves, "mv %q %q\n", name, "other/"+name)
		}
		l.stages(script.String(), moves.String(), "mv as-folder \"as\\nfolder\"")
	})
}
