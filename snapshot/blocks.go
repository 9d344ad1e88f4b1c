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

// correctBlocks looks again at the new files, which are on the disk now, and corrects their numbers of blocks in the
// catalog.
func (r *run) correctBlocks() error {
	a := &r.allocations
	if err := a.out.Flush(); err != nil {
		return err
	}
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tree, err := fsat.OpenDir(r.work, workTree)
	if err != nil {
		return err
	}
	in := bufio.NewReader(a.file)
	for err == nil {
		err = r.correctDir(tree, in)
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, fsat.Close(tree))
}

// correctDir looks at the files of one folder. It returns io.EOF after the last folder.
func (r *run) correctDir(tree int, in *bufio.Reader) (err error) {
	if _, err := in.Peek(1); err != nil {
		return err
	}
	text := func() (s string) {
		var n uint64
		if n, err = binary.ReadUvarint(in); err != nil {
			return ""
		}
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		return string(b)
	}
	path := text()
	if err != nil {
		return err
	}
	dir, err := fsat.OpenPath(tree, path)
	closed := errors.Is(err, fs.ErrPermission) // the folder's own mode denies access: the estimate has to do
	if err != nil && !closed {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	count, err := binary.ReadUvarint(in)
	for ; count > 0 && err == nil; count-- {
		var st fsat.Stat
		name := text()
		if err != nil {
			return err
		}
		if err = fsat.StatAt(dir, name, &st); err != nil && !closed && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("stat %s: %w", join(path, name), err)
		}
		var ino, blocks uint64
		if ino, err = binary.ReadUvarint(in); err == nil {
			blocks, err = binary.ReadUvarint(in)
		}
		if now := uint64(st.Blocks); err == nil && st.Ino == ino && now != blocks {
			r.catalog.SetBlocks(ino, now)
			r.report.Counts.BytesAllocated += (now - blocks) * 512
		}
	}
	return err
}
