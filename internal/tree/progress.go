package tree

import (
	"sync/atomic"

	"snapcopy/index"
)

// Progress is what a restore has done so far; it may be read while it goes on.
type Progress struct {
	Files, Bytes             atomic.Uint64 // entries other than directories dealt with; bytes read of regular files
	ExpectFiles, ExpectBytes atomic.Uint64 // what there is to restore; a link group's bytes count once for each name
}

// Expect says what there is to restore.
func (p *Progress) Expect(t index.Totals) {
	p.ExpectFiles.Store(t.Files)
	p.ExpectBytes.Store(t.Bytes)
}
