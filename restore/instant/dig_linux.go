package instant

import (
	"errors"
	"fmt"
	"strings"

	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/overlay"
)

// When the kernel copies a file it fills holes that are shorter than its copy buffer. Settle records the holes before,
// in the state folder, and makes them again when nobody uses the tree.

// holesOf lists the holes of an open file.
func holesOf(fd int, size int64) (list []fsat.Range, err error) {
	for at := int64(0); at < size; {
		start, end, ok, err := fsat.NextData(fd, at, size)
		if err != nil {
			return nil, err
		}
		if !ok {
			start, end = size, size
		}
		if start > at {
			list = append(list, fsat.Range{Start: at, End: start})
		}
		at = end
	}
	return list, nil
}

// dig makes the recorded holes of a file, in ranges that still have nothing but zeros.
func (t *upperTree) dig(path string, holes []string, buf []byte) (err error) {
	names := strings.Split(path, "/")
	last := len(names) - 1
	dir, err := fsat.OpenBelow(t.fd, names[:last])
	if fsat.IsNoDir(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	var st fsat.Stat
	if err := fsat.StatAt(dir, names[last], &st); fsat.IsGone(err) || err == nil && st.Type != fsat.Regular {
		return nil
	} else if err != nil {
		return err
	}
	fd, err := fsat.OpenForWriting(dir, names[last])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	mtime, err := overlay.RememberedTime(dir, names[last], t.userXattr, st.Mtime)
	if err != nil {
		return err
	}
	if err := overlay.RememberTime(dir, names[last], t.userXattr, mtime); err != nil {
		return err
	}
	for _, h := range holes {
		var r fsat.Range
		if _, err := fmt.Sscanf(h, "%d-%d", &r.Start, &r.End); err != nil {
			return err
		}
		r.End = min(r.End, st.Size)
		if err := digOne(fd, r, st.Size, buf); err != nil {
			return err
		}
	}
	return fsat.SetMtime(fd, mtime)
}

// digOne turns the zeros in a range into a hole.
func digOne(fd int, r fsat.Range, size int64, buf []byte) error {
	const block = 1 << 16 // more than any block of a file system: only whole blocks become holes
	for at := r.Start; at < r.End; {
		start, end, ok, err := fsat.NextData(fd, at, r.End)
		if err != nil || !ok {
			return err
		}
		end = min(end, start+int64(len(buf)))
		n, err := fsat.Read(fd, buf[:end-start], start)
		if err != nil {
			return err
		}
		if filecopy.AllZero(buf[:n]) {
			hole := fsat.Range{Start: start, End: end}
			if end == size {
				hole.End += block
			}
			if err := fsat.PunchHole(fd, hole); err != nil {
				if fsat.IsRefused(err) { // no holes on this file system; the content is right all the same
					return nil
				}
				return err
			}
		}
		at = end
	}
	return nil
}
