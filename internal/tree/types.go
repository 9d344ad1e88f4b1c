package tree

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// typeOf has the type for each kind of file, kindOf the kind for each type.
var (
	typeOf = [16]index.Type{
		fsat.Regular >> 12:     index.File,
		fsat.Directory >> 12:   index.Dir,
		fsat.Symlink >> 12:     index.Symlink,
		fsat.Fifo >> 12:        index.Fifo,
		fsat.Socket >> 12:      index.Socket,
		fsat.CharDevice >> 12:  index.CharDevice,
		fsat.BlockDevice >> 12: index.BlockDevice,
	}
	kindOf = func() (kinds [index.BlockDevice + 1]uint32) {
		for kind, t := range typeOf {
			if t != 0 {
				kinds[t] = uint32(kind) << 12
			}
		}
		return kinds
	}()
)

// TypeOf returns the catalog's type for a kind of file, as defined in fsat; 0 if the catalog has none for it.
func TypeOf(kind uint32) index.Type { return typeOf[kind&fsat.TypeMask>>12] }

// KindOf returns the kind of file, as defined in fsat, for a type of the catalog; 0 for an unknown type.
func KindOf(t index.Type) uint32 {
	if int(t) >= len(kindOf) {
		return 0
	}
	return kindOf[t]
}

// IsDevice reports whether a type has a device number.
func IsDevice(t index.Type) bool { return t == index.CharDevice || t == index.BlockDevice }
