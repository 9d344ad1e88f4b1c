package fsat

import (
	"cmp"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// ListByInode is ReadDir in the order of the inode numbers: unlinking names in this order makes a disk seek least.
func ListByInode(dir int, buf []byte) ([]DirEntry, error) {
	var list []DirEntry
	var inodes []uint64
	for {
		n, err := unix.Getdents(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return inOrderOf(list, inodes), nil
		}
		list = parseDirents(list, buf[:n])
		inodes = parseInodes(inodes, buf[:n])
	}
}

// parseInodes reads the inode numbers of the records whose names parseDirents reads.
func parseInodes(list []uint64, b []byte) []uint64 {
	const nameAt = 19
	for off := 0; off+nameAt <= len(b); {
		length := int(binary.NativeEndian.Uint16(b[off+16:]))
		name := b[off+nameAt : off+length]
		dots := name[0] == '.' && (name[1] == 0 || name[1] == '.' && name[2] == 0)
		if !dots {
			list = append(list, binary.NativeEndian.Uint64(b[off:]))
		}
		off += length
	}
	return list
}

// inOrderOf sorts list by numbers, one for each entry.
func inOrderOf(list []DirEntry, numbers []uint64) []DirEntry {
	if slices.IsSorted(numbers) {
		return list
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(numbers[i], numbers[j]) })
	sorted := make([]DirEntry, len(list))
	for i, from := range order {
		sorted[i] = list[from]
	}
	return sorted
}
