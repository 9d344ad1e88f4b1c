package lack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// Guards: what ran out is told, on the file system that holds the path or would hold it, whatever link leads there.
func TestExplain(t *testing.T) {
	d := testtree.NewDisk(t, "ext4", 8<<20, "-N", "64")
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(d.Path, fmt.Sprint(i)), nil, 0o600); err != nil {
			break
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(d.Path, link); err != nil {
		t.Fatal(err)
	}
	full := &fs.PathError{Op: "write", Path: "f", Err: unix.ENOSPC}
	for _, c := range []struct {
		err   error
		path  string
		what  What
		mount string
	}{
		{full, d.Path, Inodes, d.Path},
		{full, filepath.Join(link, "not/there"), Inodes, d.Path},
		{fmt.Errorf("x: %w", unix.EDQUOT), d.Path, Quota, d.Path},
		{full, "/proc/sys", Bytes, "/proc"},
	} {
		err := Explain(c.err, c.path)
		var e *Error
		if !errors.As(err, &e) || e.What != c.what || e.Mount != c.mount || !errors.Is(err, c.err) {
			t.Errorf("%v at %s: %+v", c.err, c.path, e)
		}
		if again := Explain(fmt.Errorf("more: %w", err), "/"); !errors.As(again, &e) || e.Mount != c.mount {
			t.Errorf("explained twice: %+v", e)
		}
	}
	for _, err := range []error{nil, unix.EIO} {
		if got := Explain(err, d.Path); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
