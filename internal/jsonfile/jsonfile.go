// Package jsonfile reads and writes small notes of the program: files with one JSON object. A note is replaced durably
// and in one step, so that a reader finds the old note or the new one, and never half of it. Numbers and times have
// the form of encoding/json; names that are not UTF-8 need a field of bytes.
package jsonfile

import (
	"encoding/json"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/plainfile"
)

// Write replaces the file at path with v, indented for people, and gives a new file the mode 0600.
func Write(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}

// most is the size of the largest note that Read accepts. Every list in a note is bounded, and none comes near it.
const most = 256 << 20

// Read fills v from the file at path. It follows no link, waits for no pipe, and reads no file that is larger than any
// note. errors.As with a [fs.PathError], or errors.Is with [plainfile.ErrKind], tells an error of the file system from a
// note with damaged content.
func Read(path string, v any) error {
	text, err := plainfile.Read(path, most)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
