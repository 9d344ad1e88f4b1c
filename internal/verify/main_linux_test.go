package verify_test

import (
	"testing"

	"snapcopy/internal/archivetest"
)

func newLab(t *testing.T) *archivetest.Lab { return archivetest.New(t) }
