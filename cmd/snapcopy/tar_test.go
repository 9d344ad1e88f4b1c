package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An archive is not poured into a terminal.
func TestTarRefusesTerminal(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "archive")
	for _, shared := range []bool{false, true} {
		a, out, errOut := testApp(t)
		a.term.shared = shared
		root := newRoot(a)
		root.SetArgs([]string{"snapshot", source, archive, "-q"})
		if !shared {
			if status := finish(a, root.ExecuteContext(context.Background())); status != statusDone {
				t.Skipf("no archive can be made here: %s", errOut)
			}
		}
		root.SetArgs([]string{"tar", archive})
		status := finish(a, root.ExecuteContext(context.Background()))
		if !shared && (status != statusDone || out.Len() == 0) {
			t.Errorf("exit status %d, %d bytes: %s", status, out.Len(), errOut)
		}
		if shared && (status != statusUsage || out.Len() > 0 || !strings.Contains(errOut.String(), "terminal")) {
			t.Errorf("to a terminal: exit status %d, %d bytes: %s", status, out.Len(), errOut)
		}
	}
}
