package verify

import (
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
)

// listBuffer is the size of a worker's buffer for reading folders.
const listBuffer = 64 << 10

// worker is the state of one worker of the walk.
type worker struct {
	copier       filecopy.Copier
	list         []byte // for reading folders
	files, bytes uint64 // since they were last counted
	_            [64]byte
}

func newWorkers(n int, progress *archive.Progress) []worker {
	list, team := make([]worker, n), filecopy.NewTeam(n)
	for i := range list {
		w := &list[i]
		w.list = make([]byte, listBuffer)
		w.copier.Team = team
		w.copier.Exact = true // sizes are looked at before
		w.copier.Buf = make([]byte, filecopy.BufferSize)
		w.copier.Tick = func(n int) { progress.Read.Add(uint64(n)) }
	}
	return list
}
