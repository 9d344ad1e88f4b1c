package tree

import (
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

func TestTypesAndKindsAreInverse(t *testing.T) {
	want := map[uint32]index.Type{fsat.Regular: index.File, fsat.Directory: index.Dir, fsat.Symlink: index.Symlink,
		fsat.Fifo: index.Fifo, fsat.Socket: index.Socket, fsat.CharDevice: index.CharDevice,
		fsat.BlockDevice: index.BlockDevice}
	for kind := uint32(0); kind <= fsat.TypeMask; kind += 0x1000 {
		if got := TypeOf(kind); got != want[kind] {
			t.Errorf("TypeOf(%#x) = %d, want %d", kind, got, want[kind])
		}
		if typ := want[kind]; typ != 0 && KindOf(typ) != kind {
			t.Errorf("KindOf(%s) = %#x, want %#x", typ, KindOf(typ), kind)
		}
	}
	for _, unknown := range []index.Type{0, index.BlockDevice + 1, 255} {
		if kind := KindOf(unknown); kind != 0 {
			t.Errorf("KindOf(%d) = %#x, want 0", unknown, kind)
		}
	}
}
