package filecopy

import "snapcopy/internal/fsat"

// SameHoles reports whether two open files of one size have their holes in the same places, as far as both file
// systems can express that: block is the larger of their block sizes.
func SameHoles(a, b int, size, block int64) (bool, error) {
	for at := int64(0); ; {
		aStart, aEnd, aOK, err := nextBlocks(a, at, size, block)
		if err != nil {
			return false, err
		}
		bStart, bEnd, bOK, err := nextBlocks(b, at, size, block)
		if err != nil {
			return false, err
		}
		if aOK != bOK || aOK && (aStart != bStart || aEnd != bEnd) {
			return false, nil
		}
		if !aOK || aEnd >= size {
			return true, nil
		}
		at = aEnd
	}
}

// nextBlocks returns the next range of data, rounded to whole blocks. Ranges that touch after rounding are one.
func nextBlocks(fd int, at, size, block int64) (start, end int64, ok bool, err error) {
	start, end, ok, err = fsat.NextData(fd, at, size)
	if err != nil || !ok {
		return 0, 0, false, err
	}
	start, end = max(at, start/block*block), roundUp(end, block)
	for end < size {
		next, nextEnd, more, err := fsat.NextData(fd, end, size)
		if err != nil {
			return 0, 0, false, err
		}
		if !more || next/block*block > end {
			break
		}
		end = roundUp(nextEnd, block)
	}
	return start, end, true, nil
}

func roundUp(n, block int64) int64 { return (n + block - 1) / block * block }

// ownSpace exceeds the space that a file system uses for an ordinary file besides its data.
const ownSpace = 16 << 10

// KeepPreallocated allocates in dst, a copy of src, the space that src has without content, and returns the number of
// bytes allocated. st describes src, of which data bytes were copied; reflink says that dst shares blocks with src
// instead of having been written. kept is false if the file systems cannot report or allocate such space, or if it
// would take more than half of the free space, which contents may need.
func KeepPreallocated(dst, src int, st *fsat.Stat, data int64, reflink bool) (space int64, kept bool) {
	if st.Blocks*512 <= ownSpace {
		return 0, true
	}
	if reflink { // bytes that count as data may never have been written, only read: a reflink shares no blocks for them
		var made fsat.Stat
		if fsat.StatHandle(dst, &made) != nil {
			return 0, false
		}
		data = made.Blocks * 512
	}
	if st.Blocks*512 <= data+ownSpace {
		return 0, true
	}
	ranges, space, err := withoutContent(src, st.Size)
	if err != nil {
		return 0, false
	}
	if space == 0 {
		return 0, true
	}
	room, err := fsat.FileSystem(dst)
	if err != nil || uint64(space) > room.Free/2 {
		return 0, false
	}
	return preallocate(dst, ranges, space)
}

// withoutContent returns the ranges of a file of the given size for which it has space without content, and their sum.
func withoutContent(src int, size int64) (ranges []fsat.Range, space int64, err error) {
	all, err := fsat.Preallocated(src)
	if err != nil {
		return nil, 0, err
	}
	keepsEnd := fsat.KeepsSpaceBeyondEnd(src)
	for _, r := range all {
		if !keepsEnd {
			r.End = min(r.End, size)
		}
		if r.Start < r.End {
			ranges = append(ranges, r)
			space += r.End - r.Start
		}
	}
	return ranges, space, nil
}

// preallocate allocates ranges, space bytes in all. If one is refused, it gives back as much as possible of the space
// taken so far, and returns the number of bytes that may be allocated all the same.
func preallocate(dst int, ranges []fsat.Range, space int64) (allocated int64, all bool) {
	for i, r := range ranges {
		if fsat.Preallocate(dst, r) == nil {
			continue
		}
		for _, taken := range ranges[:i+1] {
			if fsat.PunchHole(dst, taken) != nil {
				return space, false
			}
		}
		return 0, false
	}
	return space, true
}
