package prune

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// inode names a stored file. An archive that was copied to another file system has other inode numbers from then on: a
// new era.
type inode struct {
	era    uint32
	number uint64
}

func (a inode) compare(b inode) int {
	return cmp.Or(cmp.Compare(a.era, b.era), cmp.Compare(a.number, b.number))
}

// event says that a snapshot has more names of a stored file, or fewer, than the snapshot before it.
type event struct {
	inode
	snapshot uint32 // position in the list of snapshots
	names    int32
	blocks   uint64
}

func (a *event) compare(b *event) int {
	return cmp.Or(a.inode.compare(b.inode), cmp.Compare(a.snapshot, b.snapshot))
}

const (
	eventSize  = 4 + 8 + 4 + 4 + 8
	eventsKept = 1 << 19 // 16 MiB of them are sorted in memory, further ones go to temporary files
)

// eventSorter sorts events in bounded memory. Its methods but for merge and close may be called from several goroutines.
type eventSorter struct {
	dir   string // for temporary files
	limit int

	mu    sync.Mutex
	kept  []event
	files []*os.File
	err   error
}

func (s *eventSorter) add(list []event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, list...)
	if len(s.kept) >= s.limit && s.err == nil {
		s.err = s.spill()
	}
	if s.err != nil {
		s.kept = s.kept[:0]
	}
}

// sortKept sorts what is in memory, and makes one of events about the same file and snapshot: a file that only changed its
// name has none left.
func (s *eventSorter) sortKept() {
	slices.SortFunc(s.kept, func(a, b event) int { return a.compare(&b) })
	n := 0
	for i := range s.kept {
		if n > 0 && s.kept[n-1].compare(&s.kept[i]) == 0 {
			s.kept[n-1].names += s.kept[i].names
			continue
		}
		s.kept[n] = s.kept[i]
		n++
	}
	s.kept = s.kept[:n]
}

func (s *eventSorter) spill() error {
	s.sortKept()
	f, err := os.CreateTemp(s.dir, "snapcopy-space-")
	if err != nil {
		return err
	}
	s.files = append(s.files, f)
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<16)
	var b [eventSize]byte
	for i := range s.kept {
		e := &s.kept[i]
		binary.LittleEndian.PutUint32(b[0:], e.era)
		binary.LittleEndian.PutUint64(b[4:], e.number)
		binary.LittleEndian.PutUint32(b[12:], e.snapshot)
		binary.LittleEndian.PutUint32(b[16:], uint32(e.names))
		binary.LittleEndian.PutUint64(b[20:], e.blocks)
		if _, err := out.Write(b[:]); err != nil {
			return err
		}
	}
	s.kept = s.kept[:0]
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

func (s *eventSorter) close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// merge gives all events in order, one for each file and snapshot; ok is false after the last.
func (s *eventSorter) merge() (next func() (e event, ok bool, err error), err error) {
	if s.err != nil {
		return nil, s.err
	}
	s.sortKept()
	rest := s.kept
	h := &eventHeap{{read: func(e *event) error {
		if len(rest) == 0 {
			return io.EOF
		}
		*e, rest = rest[0], rest[1:]
		return nil
	}}}
	for _, f := range s.files {
		in := bufio.NewReaderSize(f, 1<<16)
		*h = append(*h, &eventSource{read: func(e *event) error { return readEvent(in, e) }})
	}
	live := (*h)[:0]
	for _, src := range *h {
		switch err := src.read(&src.head); err {
		case nil:
			live = append(live, src)
		case io.EOF:
		default:
			return nil, err
		}
	}
	*h = live
	heap.Init(h)
	return func() (event, bool, error) { return h.next() }, nil
}

func readEvent(in *bufio.Reader, e *event) error {
	var b [eventSize]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return err
	}
	e.era = binary.LittleEndian.Uint32(b[0:])
	e.number = binary.LittleEndian.Uint64(b[4:])
	e.snapshot = binary.LittleEndian.Uint32(b[12:])
	e.names = int32(binary.LittleEndian.Uint32(b[16:]))
	e.blocks = binary.LittleEndian.Uint64(b[20:])
	return nil
}

type eventSource struct {
	head event
	read func(e *event) error // io.EOF at the end
}

type eventHeap []*eventSource

func (h eventHeap) Len() int           { return len(h) }
func (h eventHeap) Less(i, j int) bool { return h[i].head.compare(&h[j].head) < 0 }
func (h eventHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)        { *h = append(*h, x.(*eventSource)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (h *eventHeap) next() (e event, ok bool, err error) {
	for len(*h) > 0 {
		top := (*h)[0]
		if ok && top.head.compare(&e) != 0 {
			return e, true, nil
		}
		if ok {
			e.names += top.head.names
		} else {
			e, ok = top.head, true
		}
		switch err := top.read(&top.head); err {
		case nil:
			heap.Fix(h, 0)
		case io.EOF:
			heap.Pop(h)
		default:
			return e, false, err
		}
	}
	return e, ok, nil
}
