package filter

import (
	"encoding/json"
	"unicode/utf8"

	"snapcopy/internal/exclude"
)

// object is the JSON form of a Filter.
type object struct {
	Patterns      []patternObject `json:"patterns,omitempty"` // in the order given; only patterns of files have a line
	Caches        bool            `json:"exclude_caches,omitempty"`
	IfPresent     []nameObject    `json:"exclude_if_present,omitempty"`
	Larger        int64           `json:"exclude_larger_than,omitempty"`
	OneFileSystem bool            `json:"one_file_system,omitempty"`
	NoDump        bool            `json:"respect_nodump,omitempty"`
}

type patternObject struct {
	Pattern string `json:"pattern"`
	Raw     []byte `json:"pattern_base64,omitempty"`
	From    string `json:"from"` // "--exclude", or the name of a pattern file
	Line    int    `json:"line,omitempty"`
}

type nameObject struct {
	Name string `json:"name"`
	Raw  []byte `json:"name_base64,omitempty"`
}

// bytesIfNeeded returns a name that JSON cannot express, for the base64 field, and nil for all others.
func bytesIfNeeded(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func exact(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
}

// MarshalJSON is the inverse of UnmarshalJSON. It drops patterns that never match.
func (f *Filter) MarshalJSON() ([]byte, error) {
	v := object{Caches: f.Caches, Larger: f.Larger, OneFileSystem: f.OneFileSystem, NoDump: f.NoDump}
	if f.Patterns != nil {
		for _, r := range f.Patterns.Rules() {
			v.Patterns = append(v.Patterns, patternObject{r.Pattern, bytesIfNeeded(r.Pattern), r.Source, r.Line})
		}
	}
	for _, name := range f.IfPresent {
		v.IfPresent = append(v.IfPresent, nameObject{name, bytesIfNeeded(name)})
	}
	return json.Marshal(v)
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (f *Filter) UnmarshalJSON(text []byte) error {
	var v object
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*f = Filter{Patterns: exclude.New(), Caches: v.Caches, Larger: v.Larger, OneFileSystem: v.OneFileSystem,
		NoDump: v.NoDump}
	for _, p := range v.Patterns {
		f.Patterns.AddRule(exclude.Rule{Pattern: exact(p.Pattern, p.Raw), Source: p.From, Line: p.Line})
	}
	for _, n := range v.IfPresent {
		f.IfPresent = append(f.IfPresent, exact(n.Name, n.Raw))
	}
	return nil
}
