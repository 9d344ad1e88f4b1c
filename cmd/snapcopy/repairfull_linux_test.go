package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"snapcopy/internal/testtree"
)

// fill leaves no room on a file system.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for piece := make([]byte, 1<<16); len(piece) > 0; {
		if _, err = f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// Guards: a repair on a disk that is full damages nothing, says how much room it needs, and goes on when there is room.
func TestRepairOnFullDisk(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 32<<20)
	dir := t.TempDir()
	src, arch := dir+"/src", disk.Path+"/arch"
	must(t, os.Mkdir(src, 0o755))
	testtree.Build(t, src, "file large 0644 random=3000000:1\nfile other 0644 random=2000000:2\nfile sound 0600 random=1000:3")
	for range 2 {
		if status, told := typed(t, "snapshot", "-q", src, arch); status != statusDone {
			t.Fatal(told)
		}
	}
	was := testtree.Take(t, filepath.Join(arch, "latest/"))
	for _, name := range []string{"large", "other"} {
		path := filepath.Join(arch, "latest", name)
		info, err := os.Stat(path)
		must(t, err)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte("spoiled"), 100000)
		must(t, errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())))
	}
	damaged := testtree.Take(t, filepath.Join(arch, "latest/"))
	must(t, fill(disk.Path+"/filler"))
	for range 2 {
		status, told := typed(t, "repair", arch)
		if status != statusNoSpace || !strings.Contains(told, arch+": 4 names are not repaired for lack of space") ||
			!strings.Contains(told, "needs 4.8 MiB for content") {
			t.Errorf("status %d: %s", status, told)
		}
		testtree.Equal(t, "on the full disk", damaged, testtree.Take(t, filepath.Join(arch, "latest/")), 0)
	}
	must(t, os.Remove(disk.Path+"/filler"))
	for _, verb := range []string{"repair", "verify"} {
		if status, told := typed(t, verb, arch); status != statusDone {
			t.Errorf("with room, %s ends with %d: %s", verb, status, told)
		}
	}
	testtree.Equal(t, "repaired", was, testtree.Take(t, filepath.Join(arch, "latest/")), 0)
}
