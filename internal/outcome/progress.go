package outcome

import (
	"sync/atomic"

	"snapcopy/index"
)

// RestoreProgress counts the work of a restore so far; it may be read while the restore goes on.
type RestoreProgress struct {
	Files, Bytes             atomic.Uint64 // entries done, other than folders; bytes read of regular files
	ExpectFiles, ExpectBytes atomic.Uint64 // the whole work; a link group's bytes count once for each name
}

// Expect sets the amount of the whole work.
func (p *RestoreProgress) Expect(t index.Totals) {
	p.ExpectFiles.Store(t.Files)
	p.ExpectBytes.Store(t.Bytes)
}
