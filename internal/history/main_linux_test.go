package history

import (
	"fmt"
	"os"
	"testing"

	"snapcopy/internal/testarchive"
)

func TestMain(m *testing.M) {
	if err := testarchive.BecomeUser(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
