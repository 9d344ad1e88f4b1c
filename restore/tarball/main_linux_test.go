package tarball

import (
	"fmt"
	"os"
	"testing"

	"snapcopy/internal/testarchive"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if err := testarchive.RemoveTortured(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}
