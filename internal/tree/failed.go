package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"snapcopy/index"
)

// MaxListed is how many failed items a report names; the count is always exact.
const MaxListed = 1000

// FailedItem is an entry that was not restored, and why.
type FailedItem struct {
	Path  string       // in the snapshot
	Below index.Totals // what a directory would have held
	Err   error
}

// MarshalJSON keeps names that are not UTF-8 in a field of their own.
func (f FailedItem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Path    string `json:"path"`
		Base64  []byte `json:"path_base64,omitempty"`
		Error   string `json:"error"`
		Damaged bool   `json:"damaged,omitempty"`
	}{f.Path, BytesIfNeeded(f.Path), f.Err.Error(), errors.Is(f.Err, ErrDamaged)})
}

// BytesIfNeeded returns a name that JSON cannot hold, for the field beside it, and nil for all others.
func BytesIfNeeded(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

// Cause drops the path that an error names, where the path is told beside it.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && p == err {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
