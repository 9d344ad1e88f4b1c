package snapshot

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Guards: what an archive takes beside its snapshots and what is recorded of them is told to the block.
func TestOverhead(t *testing.T) {
	l := newLab(t)
	l.build("dir d 0755\nfile d/a 0644 random=50000:1")
	l.run()
	l.run()
	a := l.open()
	defer l.close(a)
	if _, err := a.AddReader(NewReader(l.order[0], "/srv/tree", time.Now())); err != nil {
		t.Fatal(err)
	}
	var want Usage
	err := filepath.WalkDir(l.arch, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, ok := parseName(e.Name()); ok && e.IsDir() {
			return fs.SkipDir
		}
		rel := strings.TrimPrefix(path, l.arch+"/"+metaDir+"/")
		if !strings.HasPrefix(rel, catalogsDir+"/") && !strings.HasPrefix(rel, runsDir+"/") {
			info, err := e.Info()
			if err != nil {
				return err
			}
			want.Bytes += uint64(info.Sys().(*syscall.Stat_t).Blocks) * 512
			want.Inodes++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Overhead(); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if trash, err := a.HasTrash(); err != nil || trash {
		t.Errorf("trash: %v, %v", trash, err)
	}
	if work, err := a.HasWork(); err != nil || work {
		t.Errorf("work: %v, %v", work, err)
	}
}
