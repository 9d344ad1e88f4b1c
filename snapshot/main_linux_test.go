package snapshot_test

import (
	"testing"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

func TestMain(m *testing.M) {
	if err := testarchive.BecomeUser(); err != nil {
		panic(err)
	}
	archivetest.Main(m)
}

// lab is a source and an archive for one test.
type lab struct{ *archivetest.Lab }

func newLab(t *testing.T) *lab { return &lab{archivetest.New(t)} }

func onDisk(t *testing.T, kind string, source bool) (*lab, *testtree.Disk) {
	l, d := archivetest.OnDisk(t, kind, source)
	return &lab{l}, d
}
