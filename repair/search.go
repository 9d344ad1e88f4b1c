package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// Bounds of the places that are remembered for each damaged stored file.
const (
	maxHolders = 8
	maxSources = 8
)

// searching goes through catalogs for other names of damaged stored files, and for other stored files with their
// content. It needs no content-hash index, which may be damaged as well.
type searching struct {
	*repairer
	groups map[index.Hash][]groupKey // files, by content
	others map[uint64][]groupKey     // all other entries, by stored inode
	bad    map[Name]bool             // names found damaged
	from   *archive.Archive          // nil: the archive itself
	left   int                       // groups without a source
}

// search finds, for each group, names of the same stored file that are sound, and other places of its content.
func (r *repairer) search() error {
	if len(r.groups) == 0 {
		return nil
	}
	s := searching{repairer: r, groups: make(map[index.Hash][]groupKey), others: make(map[uint64][]groupKey), bad: make(map[Name]bool)}
	for key, g := range r.groups {
		if key.kind == index.File {
			s.groups[key.hash] = append(s.groups[key.hash], key)
		} else {
			s.others[key.stored] = append(s.others[key.stored], key)
		}
		for _, w := range g.wounds {
			s.bad[w.Name] = true
		}
	}
	for _, snap := range slices.Backward(r.snapshots) {
		if err := s.in(snap); err != nil {
			return err
		}
	}
	for _, other := range r.opt.From {
		if err := s.inArchive(other); err != nil {
			return fmt.Errorf("archive %s: %w", other.Path, err)
		}
	}
	return nil
}

// inArchive searches another archive, the newest snapshot first, until it has a place for each content.
func (s *searching) inArchive(other *archive.Archive) error {
	list, err := other.Snapshots()
	if err != nil {
		return err
	}
	s.from, s.left = other, len(s.groups)
	for _, snap := range slices.Backward(list) {
		if err := s.in(snap); err != nil {
			return err
		}
		if s.left == 0 {
			break
		}
	}
	return nil
}

// in searches one snapshot. Damage of its catalog ends the search there.
func (s *searching) in(snap archive.Snapshot) (err error) {
	v, err := s.view(snap)
	if v == nil || err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.catalog.Close()) }()
	known := s.from != nil || slices.Contains(s.opt.Verified, snap.Name)
	err = v.catalog.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		keys := s.others[e.Stored]
		if e.Type == index.File {
			keys = s.groups[e.Hash]
		}
		if e.Type == index.Dir || e.Flags&index.NotStored != 0 || len(keys) == 0 {
			return nil
		}
		return s.found(v, index.Join(dir, e.Name), e, keys, known)
	})
	if errors.Is(err, index.ErrDamaged) {
		return nil
	}
	return err
}

// found remembers an entry with the content, or with the stored inode, of some groups. Names of a damaged stored file in a
// snapshot that was not verified are damaged, too.
func (s *searching) found(v *view, path string, e *index.Entry, keys []groupKey, known bool) error {
	name := Name{v.Name, strings.Clone(path)}
	if s.from == nil && s.bad[name] {
		return nil
	}
	anchor := v.catalog.Summary().Anchor
	if s.from == nil && !known && slices.ContainsFunc(keys, func(k groupKey) bool { return k.anchor == anchor && k.stored == e.Stored }) {
		s.bad[name] = true
		if err := s.examine(v, path, e, false); err != nil {
			return fmt.Errorf("%s/%s may be a name of a damaged stored file and cannot be looked at, so no stored file was repaired; "+
				"repeat the repair: %w", name.Snapshot, name.Path, err)
		}
		return nil
	}
	for _, key := range keys {
		g := s.repairer.groups[key]
		same := groupKey{anchor: anchor, stored: e.Stored, hash: e.Hash, meta: index.MetaFingerprint(e), kind: e.Type}
		switch {
		case s.from == nil && same == key && len(g.holders) < maxHolders:
			g.holders = append(g.holders, name)
		case e.Type == index.File && len(g.sources) < maxSources:
			if s.from != nil && !slices.ContainsFunc(g.sources, func(p place) bool { return p.archive == s.from }) {
				s.left--
			}
			g.sources = append(g.sources, place{s.from, name})
		}
	}
	return nil
}

// holder returns a name whose inode is the one that the group's records mean, and which is sound; ok is false if there is
// none.
func (r *repairer) holder(g *group) (name Name, ok bool, err error) {
	first := g.wounds[0]
	if first.fresh {
		return name, false, nil
	}
	for _, name := range g.holders {
		w := *first
		w.Name = name
		w.e.Name = baseOf(name.Path)
		found, err := r.differs(&w, false)
		if err != nil {
			return name, false, err
		}
		if found != "" {
			continue
		}
		is, err := r.hasInode(name, &w.e, w.native)
		if err != nil {
			return name, false, err
		}
		if is {
			return name, true, nil
		}
	}
	return name, false, nil
}

func baseOf(path string) string {
	_, leaf := splitPath(path)
	return leaf
}

// hasInode reports whether a name has the recorded inode. In a copied archive the numbers prove nothing.
func (r *repairer) hasInode(name Name, e *index.Entry, native bool) (is bool, err error) {
	above, leaf := splitPath(name.Path)
	dir, err := openIn(r.archive.Root, name.Snapshot, above)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	var st fsat.Stat
	if err := fsat.StatAt(dir, leaf, &st); err != nil {
		return false, err
	}
	return !native || tree.DiffStored(e, &st)&tree.Stored == 0, nil
}
