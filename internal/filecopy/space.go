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
	ranges, err := fsat.Preallocated(src)
	if err != nil {
		return 0, false
	}
	if !fsat.KeepsSpaceBeyondEnd(src) {
		for i := range ranges {
			ranges[i].End = min(ranges[i].End, st.Size)
		}
	}
	for _, r := range ranges {
		space += max(r.End-r.Start, 0)
	}
	if space == 0 {
		return 0, true
	}
	room, err := fsat.FileSystem(dst)
	if err != nil || uint64(space) > room.Free/2 {
		return 0, false
	}
	for i, r := range ranges {
		if r.Start >= r.End {
			continue
		}
		if err := fsat.Preallocate(dst, r); err != nil {
			for _, taken := range ranges[:i+1] { // give back as much as possible of the space taken so far
				if taken.Start < taken.End && fsat.PunchHole(dst, taken) != nil {
					return space, false
				}
			}
			return 0, false
		}
	}
	return space, true
}
