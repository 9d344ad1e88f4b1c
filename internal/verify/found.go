package verify

import (
	"errors"
	"time"

	"snapcopy/internal/verified"
)

// maxFound bounds the damage of one run that is remembered.
const maxFound = 10_000

// found is the damage found in a run, by stored file.
type found struct {
	contents map[contentOf]*verified.Damaged
	others   []*verified.Damaged
	more     uint64
	now      time.Time
}

func (f *found) init(now time.Time) {
	f.contents, f.now = make(map[contentOf]*verified.Damaged), now
}

// add adds a finding about a name.
func (f *found) add(name verified.Name, err error) {
	var d *damageError
	if !errors.As(err, &d) { // of a catalog or the index, which its own package reports
		d = &damageError{what: verified.Records, cause: err}
	}
	if d.of != nil {
		if known := f.contents[*d.of]; known != nil {
			known.AddName(name)
			return
		}
	}
	if len(f.contents)+len(f.others) >= maxFound {
		f.more++
		return
	}
	item := &verified.Damaged{Kind: d.what, Found: d.cause.Error(), Names: []verified.Name{name}, Seen: f.now}
	if d.of == nil {
		f.others = append(f.others, item)
		return
	}
	item.Stored, item.Hash, item.Size = d.of.stored, d.of.hash, d.of.size
	f.contents[*d.of] = item
}

// addTo adds everything to a note.
func (f *found) addTo(n *verified.Note) {
	for _, d := range f.contents {
		n.Add(*d)
	}
	for _, d := range f.others {
		n.Add(*d)
	}
	n.More += f.more
}
