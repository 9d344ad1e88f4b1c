package main

import (
	"encoding/json"
	"unicode/utf8"
)

// printJSON writes one object on a line of its own.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.term)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// raw returns the bytes of a name that JSON cannot hold, for the …_base64 field beside it, and nil for all others.
func raw(s string) []byte {
	if utf8.ValidString(s) {
		return nil
	}
	return []byte(s)
}
