package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// source makes and edits the folder of which snapshots are taken. What it does follows from its random numbers.
type source struct {
	path string
	rng  *rand.Rand
	made int
}

// forgettable is a path that every source has.
const forgettable = "d1/keep"

func (s *source) join(name string) string { return filepath.Join(s.path, name) }

// build makes a tree with each type of entry, some content that the copier reads in pieces, and old times.
func (s *source) build() error {
	var errs []error
	for d := range 5 {
		errs = append(errs, os.MkdirAll(s.join(fmt.Sprintf("d%d/sub", d)), 0o755))
		for range 4 {
			errs = append(errs, s.newFile(fmt.Sprintf("d%d", d), s.rng.IntN(20_000)))
		}
	}
	errs = append(errs,
		s.write(forgettable, []byte("to be forgotten")),
		s.write("d3/sub/big", s.bytes(300_000+s.rng.IntN(900_000))),
		os.Link(s.join(forgettable), s.join("d2/sub/again")),
		os.Symlink("../d1/keep", s.join("d4/sub/link")),
		unix.Mkfifo(s.join("d0/pipe"), 0o600),
		os.Chmod(s.join("d1"), 0o750),
		quietly(unix.Setxattr(s.join("d3/sub/big"), "user.note", []byte("kept"), 0), unix.EOPNOTSUPP),
	)
	if f, err := os.Create(s.join("d0/holes")); err != nil {
		errs = append(errs, err)
	} else {
		_, err := f.WriteAt([]byte("end"), 1<<20)
		errs = append(errs, err, f.Close())
	}
	return errors.Join(errs...)
}

func quietly(err, unless error) error {
	if errors.Is(err, unless) {
		return nil
	}
	return err
}

func (s *source) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

func (s *source) write(name string, content []byte) error {
	path := s.join(name)
	err := os.WriteFile(path, content, 0o600|os.FileMode(s.rng.IntN(2)*0o44))
	old := time.Unix(1_500_000_000+int64(s.rng.IntN(1e8)), int64(s.rng.IntN(1e9)))
	return errors.Join(err, os.Chtimes(path, old, old))
}

func (s *source) newFile(dir string, size int) error {
	s.made++
	return s.write(fmt.Sprintf("%s/f%d", dir, s.made), s.bytes(size))
}

// edit changes some entries in some ways.
func (s *source) edit() error {
	var errs []error
	for range 3 + s.rng.IntN(6) {
		errs = append(errs, s.editOne())
	}
	return errors.Join(errs...)
}

func (s *source) editOne() error {
	files, err := filepath.Glob(s.join("d*/f*"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, s.newFile("d0", 5000))
	}
	path := files[s.rng.IntN(len(files))]
	switch s.rng.IntN(8) {
	case 0:
		return os.Remove(path)
	case 1:
		return os.Rename(path, fmt.Sprintf("%s-moved%d", path, s.rng.IntN(1000)))
	case 2:
		return os.Chmod(path, 0o600|os.FileMode(s.rng.IntN(64)))
	case 3:
		content, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, append(content, "more"...), 0o600))
	case 4:
		content, err := os.ReadFile(path) // a copy
		s.made++
		return errors.Join(err, s.write(fmt.Sprintf("d%d/f%d", s.rng.IntN(5), s.made), bytes.Clone(content)))
	case 5:
		return s.newFile(fmt.Sprintf("d%d", s.rng.IntN(5)), 1_000_000+s.rng.IntN(500_000))
	case 6:
		dir := fmt.Sprintf("d%d/more%d", s.rng.IntN(5), s.rng.IntN(1000))
		return errors.Join(os.MkdirAll(s.join(dir), 0o755), s.newFile(dir, 4000))
	}
	return s.newFile(fmt.Sprintf("d%d", s.rng.IntN(5)), s.rng.IntN(20_000))
}
