package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
)

// allocations records the new files whose number of blocks is not final yet: the file system decides on it when it
// writes them to the disk, and reports an estimate until then. The records are kept in a file without a name, so that
// memory does not grow with them.
type allocations struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	buf  []byte
}

// certainBlocks is the number of blocks of 512 bytes up to which a file needs no list of extents of its own, so that
// it has exactly as many blocks as its content needs.
const certainBlocks = 32

func (a *allocations) start(dir string) error {
	file, err := os.CreateTemp(dir, "blocks-")
	if err != nil {
		return err
	}
	a.file, a.out = file, bufio.NewWriter(file)
	return os.Remove(file.Name())
}

func (a *allocations) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// add records the files of a folder: its path, their number, and the name and inode of each.
func (a *allocations) add(d *dir) error {
	count := 0
	for i := range d.entries {
		if d.uncertain(i) {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.buf[:0]
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	text(d.path())
	b = binary.AppendUvarint(b, uint64(count))
	for i := range d.entries {
		if d.uncertain(i) {
			text(d.entries[i].Name)
			b = binary.AppendUvarint(b, d.entries[i].Stored)
			b = binary.AppendUvarint(b, d.entries[i].Blocks)
		}
	}
	a.buf = b
	_, err := a.out.Write(b)
	return err
}

func (d *dir) uncertain(i int) bool {
	e := &d.entries[i]
	return d.fresh[i] && e.Type == index.File && e.Blocks > certainBlocks
}

// allocation is the record of one file.
type allocation struct {
	name        string
	ino, blocks uint64
}

// correctBlocks looks again at the new files, which are on the disk now, and corrects their numbers of blocks in the
// catalog. It returns the number of bytes that they take beyond the estimates, modulo 2^64.
func (c *recording) correctBlocks(m mirror.Mirror) (more uint64, err error) {
	a := &c.allocations
	if err := a.out.Flush(); err != nil {
		return 0, err
	}
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	for in := bufio.NewReader(a.file); ; {
		path, files, err := readAllocations(in)
		if err == io.EOF {
			return more, nil
		}
		if err != nil {
			return 0, err
		}
		found, err := c.correctDir(m, path, files)
		if err != nil {
			return 0, err
		}
		more += found
	}
}

// readAllocations reads the records of one folder. It returns io.EOF after the last folder.
func readAllocations(in *bufio.Reader) (path string, files []allocation, err error) {
	if _, err := in.Peek(1); err != nil {
		return "", nil, err
	}
	number := func() (n uint64) {
		if err != nil {
			return 0
		}
		n, err = binary.ReadUvarint(in)
		return n
	}
	text := func() string {
		b := make([]byte, number())
		if err == nil {
			_, err = io.ReadFull(in, b)
		}
		return string(b)
	}
	path = text()
	for count := number(); count > 0 && err == nil; count-- {
		files = append(files, allocation{text(), number(), number()})
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return path, files, err
}

// correctDir looks at the files of one folder. If the folder's own mode denies access, the estimates have to do.
func (c *recording) correctDir(m mirror.Mirror, path string, files []allocation) (more uint64, err error) {
	opened := false
	err = m.In(path, func(dir int) error {
		opened = true
		for _, f := range files {
			var st fsat.Stat
			if err := fsat.StatAt(dir, f.name, &st); err != nil && !errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("stat %s: %w", join(path, f.name), err)
			}
			if now := uint64(st.Blocks); st.Ino == f.ino && now != f.blocks {
				c.catalog.SetBlocks(f.ino, now)
				more += (now - f.blocks) * 512
			}
		}
		return nil
	})
	switch {
	case err == nil || opened:
		return more, err
	case errors.Is(err, fs.ErrPermission):
		return 0, nil
	}
	return 0, fmt.Errorf("open %s: %w", path, err)
}
