package filecopy

import (
	"context"

	"snapcopy/internal/fsat"
)

// A Mark says that the first At bytes of a content, copied so far, have a hash.
type Mark struct {
	At   int64
	Hash [32]byte
}

// Marks lets a copy that was cut short go on. While a file is copied, Note gets a mark for each further piece of Every
// bytes, and one for an end by an error. The next copy begins with the marks that hold: Copy hashes the beginning of the
// destination as far as List goes, and takes over what agrees; it cuts off the rest.
//
// A mark proves itself. It need not be known whether the content had reached the disk when the machine died.
type Marks struct {
	Every int64
	List  []Mark // in ascending order; in the end, all marks of the content
	Note  func(list []Mark) error

	Taken int64 // bytes that the last copy has taken over
}

func (m *Marks) isDue(at int64) bool { return m != nil && at-m.Last() >= m.Every }

// Last returns the offset of the last mark; 0: there is none.
func (m *Marks) Last() int64 {
	if m == nil || len(m.List) == 0 {
		return 0
	}
	return m.List[len(m.List)-1].At
}

// mark notes that the content was copied up to at.
func (c *Copier) mark(at int64) error {
	m := c.Marks
	if at != c.hash.at || at <= m.Last() {
		return nil
	}
	m.List = append(m.List, Mark{at, c.hash.soFar()})
	if m.Note == nil {
		return nil
	}
	return m.Note(m.List)
}

// takeOver hashes the beginning of dst up to the last mark that holds, cuts dst off there, and returns the offset.
func (c *Copier) takeOver(ctx context.Context, dst int) (at int64, err error) {
	m := c.Marks
	if m.Taken = 0; len(m.List) == 0 {
		return 0, nil
	}
	good, data, held := c.hash.clone(), int64(0), 0
	for _, mark := range m.List {
		reached, err := c.rehash(ctx, dst, at, mark.At)
		if err != nil {
			return 0, err
		}
		if reached < mark.At || c.hash.soFar() != mark.Hash {
			break
		}
		at, good, data = mark.At, c.hash.clone(), c.Data
		held++
	}
	c.hash, c.Data, m.List, m.Taken = good, data, m.List[:held:held], at
	if err := fsat.Truncate(dst, at); err != nil {
		return 0, &WriteError{err}
	}
	return at, nil
}

// rehash hashes a range of dst, and returns the offset reached, which lies before end if dst is too short.
func (c *Copier) rehash(ctx context.Context, dst int, at, end int64) (int64, error) {
	for at < end {
		start, stop, ok, err := fsat.NextData(dst, at, end)
		if err != nil {
			return at, &WriteError{err}
		}
		if !ok {
			var st fsat.Stat
			if err := fsat.StatHandle(dst, &st); err != nil {
				return at, &WriteError{err}
			}
			start = max(at, min(end, st.Size))
			stop = start
		}
		if err := c.hash.writeZeros(ctx, start-at); err != nil {
			return at, err
		}
		for at = start; at < stop; {
			if ctx.Err() != nil {
				return at, context.Cause(ctx)
			}
			n, err := fsat.ReadSome(dst, c.Buf[:min(int64(len(c.Buf)), stop-at)], at)
			if err != nil {
				return at, &WriteError{err}
			}
			if n == 0 {
				return at, nil
			}
			c.hash.write(c.Buf[:n])
			at += int64(n)
			c.Data += int64(n)
		}
		if !ok {
			break
		}
	}
	return at, nil
}
