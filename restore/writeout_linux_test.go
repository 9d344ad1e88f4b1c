package restore

import (
	"errors"
	"syscall"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Guards: a failure of the disk that is told while more is being made is not lost, and nothing is asked of the disk
// before there is enough.
func TestWriteOutTellsFailures(t *testing.T) {
	to := &target{path: "target", fd: fsat.NoDir} // there is nothing to sync
	big := &index.Entry{Type: index.File, Size: writeOutEvery}
	small := &index.Entry{Type: index.Symlink}
	for _, c := range []struct {
		made []*index.Entry
		want error
	}{
		{nil, nil},
		{[]*index.Entry{small, small}, nil},
		{[]*index.Entry{big}, syscall.EBADF},
		{[]*index.Entry{small, big, small}, syscall.EBADF},
	} {
		var o writeOut
		o.start(to)
		for _, e := range c.made {
			o.made(e)
		}
		if err := o.end(); !errors.Is(err, c.want) {
			t.Errorf("%d entries: %v, want %v", len(c.made), err, c.want)
		}
	}
	var o writeOut
	o.start(to)
	for range writeOutEvery / entryWeight {
		o.made(small)
	}
	if err := o.end(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("many small entries: %v", err)
	}
	o = writeOut{}
	o.start(&target{fsync: true})
	o.made(big)
	if err := o.end(); err != nil {
		t.Errorf("where each file is synced by itself: %v", err)
	}
}
