package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// AddReader makes a note durable, and returns the path of its file. It replaces an existing note of the reader.
func (a *Archive) AddReader(r Reader) (path string, err error) {
	if err := OutsideOthers(a.Path); err != nil {
		return "", err
	}
	if err := os.Mkdir(a.Meta.Path(readersDir), 0o700); err == nil {
		err = atomicfile.SyncDir(a.Meta.Path())
		if err != nil {
			return "", fmt.Errorf("note reader: %w", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("note reader: %w", err)
	}
	path = a.Meta.Path(readersDir, r.file())
	if err := jsonfile.Write(path, r); err != nil {
		return "", fmt.Errorf("note reader: %w", err)
	}
	return path, nil
}

// RemoveReader removes a note. A note that does not exist is no error.
func (a *Archive) RemoveReader(r Reader) error {
	if err := os.Remove(a.Meta.Path(readersDir, r.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove note of reader: %w", err)
	}
	return nil
}

// Readers returns the notes. The file name of an unreadable note still tells its snapshot, if AddReader gave the name;
// otherwise Readers fails, since the protected snapshot is unknown.
func (a *Archive) Readers() ([]Reader, error) {
	files, err := a.Meta.list(readersDir)
	if err != nil {
		return nil, err
	}
	var list []Reader
	for _, file := range files {
		if atomicfile.IsPending(file) || !strings.HasSuffix(file, ".json") {
			continue
		}
		path := a.Meta.Path(readersDir, file)
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
