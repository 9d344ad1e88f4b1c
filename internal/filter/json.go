package filter

import (
	"encoding/json"
	"unicode/utf8"

	"snapcopy/internal/exclude"
)

// object is the JSON form of a Filter.
type object struct {
	Patterns      Rules        `json:"patterns,omitempty"` // in the order given; only patterns of files have a line
	Caches        bool         `json:"exclude_caches,omitempty"`
	IfPresent     []nameObject `json:"exclude_if_present,omitempty"`
	Larger        int64        `json:"exclude_larger_than,omitempty"`
	OneFileSystem bool         `json:"one_file_system,omitempty"`
	NoDump        bool         `json:"respect_nodump,omitempty"`
}

// Rules is a list of patterns in the form that they have in JSON.
type Rules []exclude.Rule

type patternObject struct {
	Pattern    string `json:"pattern"`
	Raw        []byte `json:"pattern_base64,omitempty"`
	From       string `json:"from"` // "--exclude", or the name of a pattern file
	Line       int    `json:"line,omitempty"`
	IgnoreCase bool   `json:"ignore_case,omitempty"`
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

// MarshalJSON is the inverse of UnmarshalJSON.
func (r Rules) MarshalJSON() ([]byte, error) {
	list := make([]patternObject, len(r))
	for i, p := range r {
		list[i] = patternObject{p.Pattern, bytesIfNeeded(p.Pattern), p.Source, p.Line, p.Fold}
	}
	return json.Marshal(list)
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Rules) UnmarshalJSON(text []byte) error {
	var list []patternObject
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*r = nil
	for _, p := range list {
		*r = append(*r, exclude.Rule{Pattern: exact(p.Pattern, p.Raw), Source: p.From, Line: p.Line, Fold: p.IgnoreCase})
	}
	return nil
}

// MarshalJSON is the inverse of UnmarshalJSON. It drops patterns that never match.
func (f *Filter) MarshalJSON() ([]byte, error) {
	v := object{Caches: f.Caches, Larger: f.Larger, OneFileSystem: f.OneFileSystem, NoDump: f.NoDump}
	if f.Patterns != nil {
		v.Patterns = f.Patterns.Rules()
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
		if err := f.Patterns.AddRule(p); err != nil {
			return err
		}
	}
	for _, n := range v.IfPresent {
		f.IfPresent = append(f.IfPresent, exact(n.Name, n.Raw))
	}
	return nil
}
