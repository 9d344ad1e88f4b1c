package plainfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/internal/plainfile"
)

// Guards: of a file that is larger than any of ours nothing is read.
func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for size, want := range map[int64]error{0: nil, 7: nil, 8: plainfile.ErrTooLarge, 1 << 40: plainfile.ErrTooLarge} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		content, err := plainfile.Read(path, 7)
		if !errors.Is(err, want) || want == nil && int64(len(content)) != size {
			t.Errorf("%d bytes: %d, %v", size, len(content), err)
		}
	}
}
