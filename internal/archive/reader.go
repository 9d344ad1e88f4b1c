package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/jsonfile"
)

// Reader is a note that a program reads a snapshot's folder for longer than a process lives: an instant restore does
// until it is settled, across reboots. Notes are in .snapcopy/readers, one file each.
//
// A removal, which has the archive's lock, leaves a snapshot with a note alone. A note can outlive its reader, if the
// restored folder was removed by hand; a person who knows that removes the file.
type Reader struct {
	Snapshot string    `json:"snapshot"`
	Host     string    `json:"host"`
	Place    string    `json:"place"`                  // path of the folder that needs the snapshot, for people
	PlaceRaw []byte    `json:"place_base64,omitempty"` // the same, byte by byte
	Since    time.Time `json:"since"`

	Path   string `json:"-"` // of the note, if it was read from one
	Damage error  `json:"-"` // why the note is unreadable, or nil: then only Snapshot is known, from the file's name
}

const readersDir = "readers"

// Readers are the notes of an archive's readers. They are made and removed without the archive's lock.
type Readers struct{ meta *Meta }

func (n Readers) path(file string) string { return n.meta.Path(readersDir, file) }

// file returns the name of the note, which is always the same for the same reader.
func (r *Reader) file() string {
	sum := sha256.Sum256([]byte(r.Host + "\x00" + string(r.PlaceRaw)))
	return r.Snapshot + "-" + hex.EncodeToString(sum[:8]) + ".json"
}

// NewReader describes a reader on this machine.
func NewReader(snapshot, place string, now time.Time) Reader {
	host, _ := os.Hostname() // only tells readers apart
	return Reader{Snapshot: snapshot, Host: host, Place: place, PlaceRaw: []byte(place),
		Since: now.UTC().Truncate(time.Second)}
}

// Add makes a note durable, and returns the path of its file. It replaces an existing note of the reader.
func (n Readers) Add(r Reader) (path string, err error) {
	if err := OutsideOthers(filepath.Dir(n.meta.path)); err != nil {
		return "", err
	}
	if err := os.Mkdir(n.path(""), 0o700); err == nil {
		err = atomicfile.SyncDir(n.meta.path)
		if err != nil {
			return "", fmt.Errorf("note reader: %w", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("note reader: %w", err)
	}
	path = n.path(r.file())
	if err := jsonfile.Write(path, r); err != nil {
		return "", fmt.Errorf("note reader: %w", err)
	}
	return path, nil
}

// Remove removes a note. A note that does not exist is no error.
func (n Readers) Remove(r Reader) error {
	if err := os.Remove(n.path(r.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove note of reader: %w", err)
	}
	return nil
}

// All returns the notes. The file name of an unreadable note still tells its snapshot, if Add gave the name;
// otherwise All fails, since the protected snapshot is unknown.
func (n Readers) All() ([]Reader, error) {
	files, err := n.meta.list(readersDir)
	if err != nil {
		return nil, err
	}
	var list []Reader
	for _, file := range files {
		if atomicfile.IsPending(file) || !strings.HasSuffix(file, ".json") {
			continue
		}
		path := n.path(file)
		var r Reader
		err := jsonfile.Read(path, &r)
		if errors.Is(err, fs.ErrNotExist) { // it has just ended
			continue
		}
		if err == nil && !IsName(r.Snapshot) {
			err = errors.New("it names no snapshot")
		}
		if err != nil {
			r = Reader{Snapshot: file[:min(len(file), len(nameLayout))], Damage: err}
		}
		if !IsName(r.Snapshot) {
			return nil, fmt.Errorf("%s: %w (%w)", path, ErrReaderNote, withoutPath(err))
		}
		r.Path = path
		list = append(list, r)
	}
	return list, nil
}

// needed returns the entry of the report for a snapshot that stays because of a reader.
func (n Readers) needed(r *Reader) SkippedSnapshot {
	note := r.Path
	if r.Damage == nil {
		note = n.path(r.file())
	}
	return SkippedSnapshot{Name: r.Snapshot, Reader: r, Note: note}
}
