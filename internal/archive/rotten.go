package archive

import (
	"encoding/json"
	"time"
)

// Rotten is a file of the source that has the recorded size and times, and not the recorded content.
type Rotten struct {
	Path     string
	Good     string // the snapshot that has the good version
	Recorded string // hash of the content, in hexadecimal digits
	Found    string // the same, of what the source has now; "": it cannot be read
	Error    string // of reading it
	Kept     bool   // the snapshot of the run has the good version, too
}

type rottenObject struct {
	Path     string `json:"path"`
	Raw      []byte `json:"path_base64,omitempty"`
	Good     string `json:"good"`
	Recorded string `json:"recorded"`
	Found    string `json:"found,omitempty"`
	Error    string `json:"error,omitempty"`
	Kept     bool   `json:"kept"`
}

// MarshalJSON adds a field in base64 for a path that is not UTF-8.
func (r Rotten) MarshalJSON() ([]byte, error) {
	return json.Marshal(rottenObject{r.Path, bytesIfNeeded(r.Path), r.Good, r.Recorded, r.Found, r.Error, r.Kept})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Rotten) UnmarshalJSON(text []byte) error {
	var v rottenObject
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*r = Rotten{v.Path, v.Good, v.Recorded, v.Found, v.Error, v.Kept}
	if v.Raw != nil {
		r.Path = string(v.Raw)
	}
	return nil
}

// PinUnlessPinned pins a snapshot, durably, unless it has a pin: a label that a person gave stays.
func (a *Locked) PinUnlessPinned(snapshot, label string, now time.Time) error {
	names, err := a.pins.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == snapshot {
			return nil
		}
	}
	return a.pins.write(Pin{snapshot, label, now.UTC().Truncate(time.Second)})
}
