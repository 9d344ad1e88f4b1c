package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// item is what is looked at of one name. Each field is text, so that one way of comparing does for all.
type item map[field]string

// tree is a set of items by their path below its top; "." is the top.
type tree map[string]item

// field names a property of an item as the table shall call it.
type field string

// The properties. The first four are compared in every row: what differs in one of them is another thing.
const (
	kind    field = "type"
	size    field = "size"
	content field = "content" // a digest; of a symbolic link its target
	device  field = "device number"

	mode   field = "mode"
	owner  field = "owner"
	mtime  field = "mtime"
	atime  field = "atime"
	xattrs field = "xattrs"
	flags  field = "flags"
	links  field = "links"      // the names that share its inode
	holes  field = "holes"      // which pieces are data
	space  field = "allocation" // allocated bytes
)

var identity = []field{kind, size, content, device}

// part is what one comparison finds of one part of a row's tree. Parts are the entries of the tree's top folder.
type part struct {
	name   string
	lost   bool    // a name is missing, is another thing, or differs in all that the row is about
	differ []field // what differs of names that are not lost
}

// compare looks for each part of want in got. Only the given fields, and the identity, are compared. The top itself is
// left out unless it is all there is.
func compare(want, got tree, fields []field) []part {
	parts := make(map[string]*part)
	find := func(path string) *part {
		name, _, _ := strings.Cut(path, "/")
		if parts[name] == nil {
			parts[name] = &part{name: name}
		}
		return parts[name]
	}
	for path, w := range want {
		if path == "." && len(want) > 1 {
			continue
		}
		p := find(path)
		differ, same := differences(w, got[path], fields)
		switch {
		case !same || len(differ) == len(fields) && len(fields) > 0:
			p.lost = true
		default:
			p.differ = append(p.differ, differ...)
		}
	}
	for path := range got {
		if _, known := want[path]; !known && path != "." {
			p := find(path)
			p.differ = append(p.differ, "names that were not there")
		}
	}
	out := make([]part, 0, len(parts))
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		slices.Sort(p.differ)
		p.differ = slices.Compact(p.differ)
		out = append(out, *p)
	}
	return out
}

// differences gives the fields in which two items differ; same is false if they are not the same thing at all.
func differences(want, got item, fields []field) (differ []field, same bool) {
	for _, f := range identity {
		if got == nil || want[f] != got[f] {
			return nil, false
		}
	}
	for _, f := range fields {
		if want[f] != got[f] && !(f == space && closeTo(want[f], got[f])) {
			differ = append(differ, f)
		}
	}
	return differ, true
}

// closeTo allows for the blocks that a file system takes for its own records of a file.
func closeTo(a, b string) bool {
	const slack = 64 << 10
	var x, y int64
	if _, err := fmt.Sscan(a, &x); err != nil {
		return false
	}
	if _, err := fmt.Sscan(b, &y); err != nil {
		return false
	}
	return max(x-y, y-x) <= slack+max(x, y)/10
}

func (p *part) damaged() bool { return p.lost || len(p.differ) > 0 }

// merge makes one list of those of several backups. What is damaged in the newest counts first; what is damaged only in
// an older one is called old.
func merge(backups [][]part) []part {
	parts := make(map[string]part)
	for i, found := range slices.Backward(backups) {
		for _, p := range found {
			known, ok := parts[p.name]
			if ok && (known.damaged() || !p.damaged()) {
				continue
			}
			name := p.name
			if p.damaged() && i < len(backups)-1 {
				p.name = "old " + name
			}
			parts[name] = p
		}
	}
	return slices.SortedFunc(maps.Values(parts), func(a, b part) int { return strings.Compare(a.name, b.name) })
}

// verdict is the text of a cell: what the parts come to.
func verdict(parts []part) string {
	var kept, lost, hurt []string
	for _, p := range parts {
		switch {
		case p.lost:
			lost = append(lost, p.name)
		case p.damaged():
			hurt = append(hurt, fmt.Sprintf("%s of %s", join(p.differ), p.name))
		default:
			kept = append(kept, p.name)
		}
	}
	if len(lost)+len(hurt) == 0 {
		return "kept"
	}
	if len(lost) == len(parts) {
		return "lost"
	}
	if differ, every := commonDamage(parts); every {
		return "partly (not " + join(differ) + ")"
	}
	if len(hurt) == 0 && len(kept) < len(lost) {
		return "partly (only " + join(kept) + ")"
	}
	return "partly (not " + join(append(lost, hurt...)) + ")"
}

// commonDamage tells whether all parts have the same fields damaged, so that they need no names.
func commonDamage(parts []part) ([]field, bool) {
	for _, p := range parts {
		if p.lost || !slices.Equal(p.differ, parts[0].differ) {
			return nil, false
		}
	}
	return parts[0].differ, true
}

func join[T ~string](words []T) string {
	const most = 4
	text := make([]string, 0, len(words))
	for _, w := range words[:min(len(words), most)] {
		text = append(text, string(w))
	}
	if more := len(words) - most; more > 0 {
		text = append(text, fmt.Sprintf("%d more", more))
	}
	return strings.Join(text, ", ")
}
