package restore

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"snapcopy/index"
)

// writeOut writes finished entries to the disk while others are being made, so that little is left to wait for in the
// end, and entries reported as done are soon durable. If files are synced one by one it does nothing.
type writeOut struct {
	weight atomic.Int64 // of the entries made since the last writing out
	wanted chan struct{}
	group  errgroup.Group
}

// Each writing out ends with a commit of the file system's journal, and each entry costs more than its content.
const (
	writeOutEvery = 256 << 20
	entryWeight   = 16 << 10
)

func (o *writeOut) start(t *target) {
	if t.fsync || t.dry {
		return
	}
	o.wanted = make(chan struct{}, 1)
	o.group.Go(func() (failed error) {
		for range o.wanted {
			if err := t.sync(); err != nil && failed == nil { // it may not be told again
				failed = err
			}
		}
		return failed
	})
}

// made counts an entry, which never waits.
func (o *writeOut) made(e *index.Entry) {
	weight := int64(entryWeight)
	if e.Type == index.File {
		weight += int64(e.Size)
	}
	if o.wanted == nil || o.weight.Add(weight) < writeOutEvery {
		return
	}
	o.weight.Store(0)
	select {
	case o.wanted <- struct{}{}:
	default: // it is at it
	}
}

// end waits until the last writing out has ended, and returns an error if any failed.
func (o *writeOut) end() error {
	if o.wanted == nil {
		return nil
	}
	close(o.wanted)
	return o.group.Wait()
}
