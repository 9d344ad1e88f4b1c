package restore

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/lookup"
)

// scope is the part of a snapshot that is restored.
type scope struct {
	archive.OpenSnapshot
	fd       int               // of the snapshot's folder
	selected []lookup.Selected // nil: the whole snapshot
	inPlace  bool              // Options.InPlace
}

func (s *scope) whole() bool { return s.selected == nil }

// makes reports whether the restore itself makes a name of the target.
func (s *scope) makes(name string) bool {
	if s.whole() {
		_, known, err := s.Catalog.Lookup(name)
		return known || err != nil
	}
	return slices.ContainsFunc(s.selected, func(of lookup.Selected) bool {
		top, _, _ := strings.Cut(index.Join(of.Folder, of.Entry.Name), "/")
		return top == name && s.inPlace || of.Entry.Name == name && !s.inPlace
	})
}

// text identifies a restore by its snapshot and paths.
func (s *scope) text() string {
	root := s.Catalog.Root()
	text := fmt.Sprintf("%s\n%x\n", s.Catalog.Summary().Snapshot, root.Hash)
	if !s.whole() {
		h := sha256.New()
		for i := range s.selected {
			of := &s.selected[i]
			fmt.Fprintf(h, "%q\n", index.Join(of.Folder, of.Entry.Name))
		}
		text += fmt.Sprintf("%t %x\n", s.inPlace, h.Sum(nil))
	}
	return text
}
