package archive_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"snapcopy/internal/archive"
)

// Guards: what an archive takes beside its snapshots and what is recorded of them is told to the block.
func TestOverhead(t *testing.T) {
	l := newLab(t)
	l.Build("dir d 0755\nfile d/a 0644 random=50000:1")
	l.Run()
	l.Run()
	a := l.Open()
	defer l.Close(a)
	if _, err := a.Readers.Add(archive.NewReader(l.Order[0], "/srv/tree", time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := a.Pin(l.Order[0], "why", time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"work.aside/in/file", archive.CatalogsDir + "/2026-01-01T000000Z.cat", "stranger"} {
		path = l.Path(archive.MetaDir, path)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err = errors.Join(err, os.WriteFile(path, []byte("counted"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var want archive.Usage
	err := filepath.WalkDir(l.Arch, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, ok := archive.ParseName(e.Name()); ok && e.IsDir() {
			return fs.SkipDir
		}
		rel := strings.TrimPrefix(path, l.Arch+"/"+archive.MetaDir+"/")
		isRecord := slices.ContainsFunc(l.Order, func(name string) bool { return strings.Contains(filepath.Base(rel), name) })
		if dir := filepath.Dir(rel); !isRecord || dir != archive.CatalogsDir && dir != archive.RunsDir {
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
	if empty, err := a.Trash.IsEmpty(); err != nil || !empty {
		t.Errorf("trash is empty: %v, %v", empty, err)
	}
	if work, err := a.Meta.HasWork(); err != nil || work {
		t.Errorf("work: %v, %v", work, err)
	}
}
