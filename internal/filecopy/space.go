package filecopy

import "snapcopy/internal/fsat"

// ownSpace is more than a file system needs for an ordinary file besides its data.
const ownSpace = 16 << 10

// KeepPreallocated allocates in dst, a copy of src, what is allocated in src and was never written. st describes src,
// of which data bytes are not holes. It reports whether that was done: it is not where the file system of dst cannot, or
// would be left with hardly any room.
func KeepPreallocated(dst, src int, st *fsat.Stat, data int64) (held bool, err error) {
	if st.Blocks*512 <= data+ownSpace {
		return true, nil
	}
	ranges, err := fsat.Preallocated(src)
	if err != nil {
		return false, err
	}
	if !fsat.KeepsSpaceBeyondEnd(src) {
		for i := range ranges {
			ranges[i].End = min(ranges[i].End, st.Size)
		}
	}
	var want int64
	for _, r := range ranges {
		want += max(r.End-r.Start, 0)
	}
	if want == 0 {
		return true, nil
	}
	space, err := fsat.FileSystem(dst)
	if err != nil {
		return false, &WriteError{err}
	}
	if uint64(want) > space.Free/10*9 {
		return false, nil
	}
	for _, r := range ranges {
		if r.Start >= r.End {
			continue
		}
		if err := fsat.Preallocate(dst, r); err != nil {
			if fsat.IsRefused(err) || fsat.IsTooLarge(err) {
				return false, nil
			}
			return false, &WriteError{err}
		}
	}
	return true, nil
}
