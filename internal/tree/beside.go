package tree

import (
	"iter"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/pair"
)

// Beside walks a folder's record in a catalog and a sorted listing of a folder on a disk side by side, in the order of
// the names. Each name comes once, with nil for the side that lacks it. The record may be nil. The next entry
// overwrites the entry; copy it to keep it.
func Beside(rec *index.Record, listing []fsat.DirEntry) iter.Seq2[*index.Entry, *fsat.DirEntry] {
	return pair.Lists(rec.Pull(), pair.Slice(listing), CompareListed)
}

// CompareListed compares the name of a recorded entry with a listed one, in the order of catalogs and listings.
func CompareListed(e *index.Entry, listed *fsat.DirEntry) int {
	return strings.Compare(e.Name, listed.Name)
}
