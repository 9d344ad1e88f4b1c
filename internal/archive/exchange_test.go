package archive

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzRepairNote proves that a note of exchanges that is accepted names entries of snapshots, and inodes of the repair,
// alone.
func FuzzRepairNote(f *testing.F) {
	for _, text := range []string{
		`{"exchanges":[{"kind":"put","snapshot":"2026-01-02T030405Z","path_base64":"YS9i","file":"12","record":true,"stored":7}]}`,
		`{"exchanges":[{"kind":"metadata","snapshot":"2026-01-02T030405Z","path_base64":""}]}`,
		`{"exchanges":[{"kind":"take out","snapshot":"2026-01-02T030405Z","path_base64":"Li4="}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var note repairNote
		if json.Unmarshal(text, &note) != nil || note.check() != nil {
			return
		}
		for _, x := range note.Exchanges {
			for part := range strings.SplitSeq(string(x.Path), "/") {
				if part == ".." || part == "." || part == "" && len(x.Path) > 0 || strings.ContainsRune(part, 0) {
					t.Errorf("accepts the path %q", x.Path)
				}
			}
			if _, ok := ParseName(x.Snapshot); !ok || strings.ContainsAny(x.File, "/.") {
				t.Errorf("accepts %+v", x)
			}
		}
	})
}
