package verified

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"snapcopy/internal/jsonfile"
	"snapcopy/internal/plainfile"
)

// Limits of the note of damage: a disk that fails as a whole must not make it grow without bound.
const (
	maxDamaged  = 10_000
	maxNames    = 1_000   // of one damaged entry
	maxAllNames = 200_000 // of all of them: the note stays far below what package jsonfile reads
)

// Kinds of damage.
const (
	Content  = "content"  // the stored file has other content than was stored, or cannot be read
	Metadata = "metadata" // an entry has other metadata, links or a type than recorded
	Missing  = "missing"  // an entry does not exist
	Stranger = "stranger" // a name is in a snapshot that its catalog does not have
	Records  = "records"  // a catalog, the index, or a part of the archive's own files; Path is empty
)

// Damaged is something that a check found damaged and no later check found sound. Damage of content belongs to a stored
// file, and Names has every name of it that was found; all other damage belongs to the one name.
type Damaged struct {
	Kind   string
	Stored uint64   // inode number of the stored file; 0: unknown
	Hash   [32]byte // that the content should have; zero unless Kind is Content
	Size   uint64
	Found  string // what was found instead
	Names  []Name // at least one, in order; of Records: with an empty path
	More   uint64 // further names, which are not in Names
	Seen   time.Time
}

// Name is a name of an entry in a snapshot.
type Name struct{ Snapshot, Path string }

func (n Name) compare(m Name) int {
	if c := strings.Compare(n.Snapshot, m.Snapshot); c != 0 {
		return c
	}
	return strings.Compare(n.Path, m.Path)
}

// AddName adds a name once, unless there are too many already.
func (d *Damaged) AddName(n Name) {
	at, found := slices.BinarySearchFunc(d.Names, n, Name.compare)
	switch {
	case found:
	case len(d.Names) >= maxNames:
		d.More++
	default:
		d.Names = slices.Insert(d.Names, at, n)
	}
}

// same reports whether two are damage of the same thing.
func (d *Damaged) same(e *Damaged) bool {
	if d.Kind != e.Kind {
		return false
	}
	if d.Kind == Content {
		return d.Stored == e.Stored && d.Hash == e.Hash
	}
	return slices.Equal(d.Names, e.Names) && (d.Kind != Records || d.Found == e.Found)
}

// Note is the damage that is known.
type Note struct {
	Damaged []Damaged
	More    uint64 // further damage, which is not in Damaged
}

// Add adds damage to the note, in the place of what the note has of the same thing. The names of a damaged content that
// the note has stay.
func (n *Note) Add(d Damaged) {
	i := slices.IndexFunc(n.Damaged, func(e Damaged) bool { return e.same(&d) })
	if i < 0 && len(n.Damaged) >= maxDamaged {
		n.More++
		return
	}
	room := maxAllNames
	for j := range n.Damaged {
		if j != i {
			room -= len(n.Damaged[j].Names)
		}
	}
	if i < 0 {
		n.Damaged = append(n.Damaged, d.within(room))
		return
	}
	d.Names = slices.Clone(d.Names)
	for _, name := range n.Damaged[i].Names {
		d.AddName(name)
	}
	n.Damaged[i] = d.within(room)
}

// within returns the damage with as many of its names as there is room for, and at least one.
func (d Damaged) within(room int) Damaged {
	if room = max(room, 1); len(d.Names) > room {
		d.More += uint64(len(d.Names) - room)
		d.Names = d.Names[:room]
	}
	return d
}

// Drop removes damage. Without damage left, nothing is known of further damage either.
func (n *Note) Drop(is func(*Damaged) bool) {
	n.Damaged = slices.DeleteFunc(n.Damaged, func(d Damaged) bool { return is(&d) })
	if len(n.Damaged) == 0 {
		n.More = 0
	}
}

// DropNames removes names from all damage, and damage without a name left.
func (n *Note) DropNames(is func(*Damaged, Name) bool) {
	for i := range n.Damaged {
		d := &n.Damaged[i]
		d.Names = slices.DeleteFunc(d.Names, func(name Name) bool { return is(d, name) })
	}
	n.Drop(func(d *Damaged) bool { return len(d.Names) == 0 })
}

// Damage returns the damage that is known. A note that cannot be used counts as empty: the next check finds the damage
// again.
func (s *Store) Damage() (*Note, error) {
	var v noteObject
	err := jsonfile.Read(s.DamagePath, &v)
	var call *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, plainfile.ErrKind):
		return new(Note), nil
	case errors.As(err, &call):
		return nil, err
	case err != nil:
		return new(Note), nil
	}
	return v.note(), nil
}

// UpdateDamage changes the note of damage, under the lock of the store. The change may be made twice, on different notes.
// Without damage, before or after, nothing is written.
func (s *Store) UpdateDamage(ctx context.Context, change func(*Note)) error {
	n, err := s.Damage()
	if err != nil {
		return err
	}
	had := len(n.Damaged) > 0
	if change(n); !had && len(n.Damaged) == 0 { // most archives never have any
		return nil
	}
	lock, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.Path, err)
	}
	if n, err = s.Damage(); err == nil {
		change(n)
		for try := 0; ; try++ { // a process that takes the archive's lock removes unfinished files
			if err = jsonfile.Write(s.DamagePath, noteOf(n)); !errors.Is(err, fs.ErrNotExist) || try == 3 {
				break
			}
		}
	}
	return errors.Join(err, lock.Close())
}

type noteObject struct {
	Damaged []damagedObject `json:"damaged"`
	More    uint64          `json:"more,omitempty"`
}

type damagedObject struct {
	Kind   string       `json:"kind"`
	Stored uint64       `json:"stored,omitempty"`
	Hash   string       `json:"hash,omitempty"`
	Size   uint64       `json:"size"`
	Found  string       `json:"found"`
	Names  []nameObject `json:"names"`
	More   uint64       `json:"more_names,omitempty"`
	Seen   time.Time    `json:"seen"`
}

type nameObject struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
	Raw      []byte `json:"path_base64,omitempty"`
}

func noteOf(n *Note) noteObject {
	v := noteObject{Damaged: []damagedObject{}, More: n.More}
	for i := range n.Damaged {
		v.Damaged = append(v.Damaged, objectOf(&n.Damaged[i]))
	}
	return v
}

func objectOf(d *Damaged) damagedObject {
	o := damagedObject{Kind: d.Kind, Stored: d.Stored, Size: d.Size, Found: d.Found, More: d.More, Seen: d.Seen}
	if d.Hash != [32]byte{} {
		o.Hash = hex.EncodeToString(d.Hash[:])
	}
	for _, name := range d.Names {
		n := nameObject{Snapshot: name.Snapshot, Path: name.Path}
		if !utf8.ValidString(n.Path) {
			n.Raw = []byte(n.Path)
		}
		o.Names = append(o.Names, n)
	}
	return o
}

// MarshalJSON adds fields in base64 for paths that are not UTF-8.
func (d Damaged) MarshalJSON() ([]byte, error) { return json.Marshal(objectOf(&d)) }

func (v *noteObject) note() *Note {
	n := &Note{More: v.More}
	for _, o := range v.Damaged {
		d := Damaged{Kind: o.Kind, Stored: o.Stored, Size: o.Size, Found: o.Found, More: o.More, Seen: o.Seen}
		hash, err := hex.DecodeString(o.Hash)
		if err != nil || len(hash) != 0 && len(hash) != len(d.Hash) {
			continue // not written by this program
		}
		copy(d.Hash[:], hash)
		for _, name := range o.Names {
			if name.Raw != nil {
				name.Path = string(name.Raw)
			}
			d.Names = append(d.Names, Name{name.Snapshot, name.Path})
		}
		slices.SortFunc(d.Names, Name.compare)
		if len(d.Names) > 0 {
			n.Damaged = append(n.Damaged, d)
		}
	}
	return n
}
