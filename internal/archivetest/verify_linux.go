package archivetest

import (
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/verify"
)

// VerifyAll verifies every snapshot of an archive and returns the findings, one line each.
func VerifyAll(t *testing.T, path string) (*verify.Report, []string) {
	t.Helper()
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	rep, err := verify.Run(t.Context(), a, list, verify.Options{Threads: 4, Damage: func(d verify.Damage) {
		found = append(found, d.Path+": "+d.Err.Error())
	}})
	if err != nil {
		t.Fatal(err)
	}
	return rep, found
}
