package repair_test

import (
	"testing"

	"snapcopy/internal/archivetest"
)

func TestMain(m *testing.M) { archivetest.Main(m) }
