// Package extsort sorts more values than fit into memory. A Sorter keeps a bounded number of them, sorts them when
// there are too many and writes them to a temporary file; Merge reads all files side by side.
//
// Values have one fixed size on the disk. Values that compare equal are joined into one, in memory already, so that
// the files stay as small as possible.
//
// Limits: at most maxRuns files are open at a time, each read through a buffer of 64 KiB; a further file makes one of
// them all. A file loses its name as soon as it was made, if the system permits, so that a killed process leaves
// nothing behind. Files are not made durable: they are of no use to another process.
package extsort

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// maxRuns bounds the temporary files, which are all open while they are merged.
const maxRuns = 64

const (
	readBuffer  = 1 << 16
	writeBuffer = 1 << 18
)

// Kind defines how values are ordered, joined and encoded.
type Kind[T any] struct {
	Compare func(a, b T) int
	// Join joins b, which compares equal to a, into a. The order in which values are joined must not matter, and the
	// result must compare equal to both.
	Join   func(a *T, b T)
	Size   int // of a value in a file, in bytes
	Encode func(b []byte, v *T)
	Decode func(b []byte, v *T)
}

// Sorter sorts values in bounded memory. Its fields are set before the first value is added. Add may be called from
// several goroutines. Close removes the temporary files.
type Sorter[T any] struct {
	Kind  Kind[T]
	Dir   string // of the temporary files, as os.CreateTemp takes it
	Name  string // pattern of their names
	Limit int    // of values in memory

	mu   sync.Mutex
	kept []T
	runs []*run
	err  error
}

// Add adds values and keeps no reference to them. Merge returns an error of the temporary files.
func (s *Sorter[T]) Add(values ...T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.kept = append(s.kept, values...)
	if len(s.kept) >= s.Limit {
		s.err = s.spill()
	}
}

// Merge returns all values in ascending order, no two of them equal. No value may be added afterwards. Merge can be
// called again, and begins with the first value each time.
func (s *Sorter[T]) Merge() (*Merge[T], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	s.sortKept()
	return s.merge(s.kept)
}

// Close removes the temporary files.
func (s *Sorter[T]) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := closeAll(s.runs)
	s.runs, s.kept = nil, nil
	return err
}

// spill writes the values in memory to a temporary file.
func (s *Sorter[T]) spill() error {
	if len(s.runs) == maxRuns {
		if err := s.compact(); err != nil {
			return err
		}
	}
	s.sortKept()
	rest := s.kept
	s.kept = s.kept[:0]
	return s.write(func(v *T) (bool, error) {
		if len(rest) == 0 {
			return false, nil
		}
		*v, rest = rest[0], rest[1:]
		return true, nil
	})
}

// sortKept sorts the values in memory and joins equal ones.
func (s *Sorter[T]) sortKept() {
	slices.SortFunc(s.kept, s.Kind.Compare)
	n := 0
	for i := range s.kept {
		if n > 0 && s.Kind.Compare(s.kept[n-1], s.kept[i]) == 0 {
			s.Kind.Join(&s.kept[n-1], s.kept[i])
			continue
		}
		s.kept[n] = s.kept[i]
		n++
	}
	s.kept = s.kept[:n]
}

// compact merges all temporary files into one.
func (s *Sorter[T]) compact() error {
	m, err := s.merge(nil)
	if err != nil {
		return err
	}
	runs := s.runs
	s.runs = nil
	return errors.Join(s.write(m.Next), closeAll(runs))
}

// write writes values to a new temporary file.
func (s *Sorter[T]) write(next func(v *T) (bool, error)) error {
	r, err := newRun(s.Dir, s.Name)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	w := bufio.NewWriterSize(r.file, writeBuffer)
	b := make([]byte, s.Kind.Size)
	v := new(T)
	for {
		more, err := next(v)
		if err != nil {
			return err
		}
		if !more {
			return w.Flush()
		}
		s.Kind.Encode(b, v)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

func (s *Sorter[T]) merge(kept []T) (*Merge[T], error) {
	m := &Merge[T]{kind: s.Kind}
	sources := make([]*source[T], 0, len(s.runs)+1)
	for _, r := range s.runs {
		in := bufio.NewReaderSize(io.NewSectionReader(r.file, 0, 1<<62), readBuffer)
		sources = append(sources, &source[T]{file: in, b: make([]byte, s.Kind.Size)})
	}
	for _, src := range append(sources, &source[T]{rest: kept}) {
		more, err := src.next(&m.kind)
		if err != nil {
			return nil, err
		}
		if more {
			m.heap = append(m.heap, src)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sift(i)
	}
	return m, nil
}

// Merge reads sorted values. The Sorter it comes from stays open meanwhile.
type Merge[T any] struct {
	kind Kind[T]
	heap []*source[T] // the one with the smallest value first
}

// Next reads the next value into v, and returns false after the last.
func (m *Merge[T]) Next(v *T) (bool, error) {
	if len(m.heap) == 0 {
		return false, nil
	}
	*v = m.heap[0].head
	for {
		if err := m.advance(); err != nil {
			return false, err
		}
		if len(m.heap) == 0 || m.kind.Compare(m.heap[0].head, *v) != 0 {
			return true, nil
		}
		m.kind.Join(v, m.heap[0].head)
	}
}

// advance removes the smallest value.
func (m *Merge[T]) advance() error {
	more, err := m.heap[0].next(&m.kind)
	if err != nil {
		return err
	}
	if !more {
		end := len(m.heap) - 1
		m.heap[0] = m.heap[end]
		m.heap = m.heap[:end]
	}
	m.sift(0)
	return nil
}

// sift moves heap[i] down to its place.
func (m *Merge[T]) sift(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if child+1 < len(m.heap) && m.less(child+1, child) {
			child++
		}
		if !m.less(child, i) {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}

func (m *Merge[T]) less(i, j int) bool { return m.kind.Compare(m.heap[i].head, m.heap[j].head) < 0 }

// source yields sorted values, from a file or from memory.
type source[T any] struct {
	head T
	file *bufio.Reader // nil: rest
	b    []byte
	rest []T
}

// next reads the next value into head, and returns false after the last.
func (src *source[T]) next(kind *Kind[T]) (bool, error) {
	if src.file == nil {
		if len(src.rest) == 0 {
			return false, nil
		}
		src.head, src.rest = src.rest[0], src.rest[1:]
		return true, nil
	}
	switch _, err := io.ReadFull(src.file, src.b); err {
	case nil:
		kind.Decode(src.b, &src.head)
		return true, nil
	case io.EOF:
		return false, nil
	default:
		return false, err
	}
}

// run is a temporary file.
type run struct {
	file  *os.File
	named bool // the file still has a name, which Close removes
}

func newRun(dir, pattern string) (*run, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return &run{file: f, named: os.Remove(f.Name()) != nil}, nil
}

func closeAll(runs []*run) error {
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.file.Close())
		if r.named {
			errs = append(errs, os.Remove(r.file.Name()))
		}
	}
	return errors.Join(errs...)
}
