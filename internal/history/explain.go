package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/lookup"
	"snapcopy/internal/tree"
)

// Reason says why an entry of a snapshot shares, or does not share, its stored file with earlier snapshots.
type Reason string

// The reasons for sharing.
const (
	Unchanged Reason = "unchanged" // the previous snapshot has the stored file under this path
	Renamed   Reason = "moved"     // the previous snapshot has the stored file under another path
	NewName   Reason = "new_name"  // a further name of a link group whose other names existed before
	Returned  Reason = "returned"  // an older snapshot has the stored file, but not the previous one
)

// The reasons for storing an entry anew.
const (
	FirstSnapshot   Reason = "first_snapshot"    // there was nothing to share with
	FirstSeen       Reason = "first_seen"        // the previous snapshot has no such path
	OtherContent    Reason = "content_changed"   // bytes, link target or device number
	OtherMetadata   Reason = "metadata_changed"  // metadata are the same for all names of a stored file
	OtherType       Reason = "type_changed"      // it was another kind of file
	LinkLimit       Reason = "link_limit"        // the stored file could take no further name
	StoredMissing   Reason = "stored_missing"    // the stored file was missing from the archive, or altered
	ChangedMeantime Reason = "changed_meanwhile" // it went on changing while it was read
	InCatalogOnly   Reason = "not_stored"        // the entry could not be stored; only the catalog has it
	WasInCatalog    Reason = "was_not_stored"    // the archive could not store it before
	HoldsMore       Reason = "holds_more"        // the stored file lacks an owner or a mode that this run could set
	TakenByOther    Reason = "taken_by_other"    // another file of this snapshot uses the stored file
	PreviousGone    Reason = "previous_gone"     // the snapshot that the run compared with was removed since
	PreviousUnread  Reason = "previous_unusable" // the previous catalog is unusable, or was at that time
	ArchiveCopied   Reason = "archive_copied"    // the archive was copied in between: inode numbers prove nothing
	NoHardLinks     Reason = "no_hard_links"     // the archive's file system has none
	NotLinked       Reason = "not_linked"        // refused, or the holes differed: catalogs do not say which
)

// Shared reports whether the reason is one for sharing.
func (r Reason) Shared() bool { return r == Unchanged || r == Renamed || r == NewName || r == Returned }

// Explanation says why one entry is, or is not, shared with an earlier snapshot. Every snapshot has new folders: the
// Reason of a folder is about the folder itself, and Below about the entries below.
type Explanation struct {
	Path     string
	Reason   Reason
	Entry    index.Entry
	Old      *index.Entry // entry of the previous snapshot under the path; nil: none
	Fields   []string     // metadata that differ from Old, as in a [Change]
	Previous string       // the snapshot compared with, "" if none

	// With is the earlier snapshot with the same stored file, and From the path there.
	With, From string
	// Since is the oldest of the consecutive snapshots with the stored file up to With, and Snapshots their number.
	Since     string
	Snapshots int
	// SameContent is a path of the previous snapshot with the content of a file that is not shared, and Apart the
	// metadata in which the two differ. By is the path of the file that uses the stored file instead.
	SameContent string
	Apart       []string
	By          string

	Below *Below // of a folder
}

// Below counts the entries below a folder, other than folders, by reason. Bytes are those of regular files.
type Below struct {
	Shared, Stored           uint64
	SharedBytes, StoredBytes uint64
	ByReason                 map[Reason]uint64
}

// Explainer explains the entries of one snapshot. It reads only catalogs.
type Explainer struct {
	// NoLinks says that the archive's file system has no hard links, so that no entry is ever shared.
	NoLinks bool

	catalog  *index.Catalog
	previous *index.Catalog     // nil: there is none
	lost     Reason             // why previous is not what the run compared with; "": it is
	older    []archive.Snapshot // the oldest first
}

// NewExplainer opens the catalogs that c is compared with: that of the snapshot its run compared with, or, if that is
// gone or unusable, the newest one before. snapshots are all of the archive, the oldest first.
func NewExplainer(c *index.Catalog, snapshots []archive.Snapshot) (*Explainer, error) {
	s := c.Summary()
	x := &Explainer{catalog: c}
	x.older = snapshots[:0:0]
	for _, r := range snapshots {
		if r.Name < s.Snapshot {
			x.older = append(x.older, r)
		}
	}
	named := slices.IndexFunc(x.older, func(r archive.Snapshot) bool { return r.Name == s.Previous })
	switch {
	case named >= 0:
		x.older = x.older[:named+1]
	case s.Previous != "":
		x.lost = PreviousGone
	case len(x.older) > 0:
		x.lost = PreviousUnread
	}
	for _, r := range slices.Backward(x.older) {
		var err error
		if x.previous, err = r.OpenCatalog(); err == nil {
			return x, nil
		}
		if !unusable(err) {
			return nil, fmt.Errorf("catalog of %s: %w", r.Name, err)
		}
		x.lost = PreviousUnread
	}
	return x, nil
}

// unusable reports an error of a single catalog, which does not keep the others from being read.
func unusable(err error) bool {
	return errors.Is(err, index.ErrDamaged) || errors.Is(err, index.ErrNewer) || errors.Is(err, fs.ErrNotExist)
}

// Close closes the catalogs that NewExplainer opened.
func (x *Explainer) Close() error {
	if x.previous == nil {
		return nil
	}
	return x.previous.Close()
}

// Explain explains the entry at path, elements joined by '/', "" for the whole snapshot. If the snapshot has no such
// entry, the error is a *[lookup.NotFoundError].
//
// A file takes some milliseconds if it is shared with the previous snapshot under its path. Otherwise Explain reads
// that snapshot's whole catalog, and, for a folder or if the run has moved a file, the folders in which each older
// snapshot differs from the next. Memory: 100 bytes for each entry below a folder that is not shared under its path,
// for a million of them at most; further ones are not searched for under other paths.
func (x *Explainer) Explain(ctx context.Context, path string) (*Explanation, error) {
	clean := index.CleanPath(path)
	e, ok, err := x.catalog.Lookup(clean)
	if err != nil {
		return nil, fmt.Errorf("look up %q: %w", path, err)
	}
	if !ok {
		return nil, lookup.NotFound(x.catalog, path, clean)
	}
	ex := &Explanation{Path: clean, Entry: e}
	if x.previous != nil {
		ex.Previous = x.previous.Summary().Snapshot
		if ex.Old, _, err = locate(x.previous, clean); err != nil {
			return nil, err
		}
	}
	if ex.Old != nil {
		ex.Fields = tree.Diff(ex.Old, &e).Names()
	}
	if e.Type == index.Dir {
		return ex, x.directory(ctx, ex)
	}
	return ex, x.entry(ctx, ex)
}

// judge returns the reason that follows from the two entries of one path; old is nil if the previous snapshot has
// none. A stored file under another path is not considered yet.
func (x *Explainer) judge(e, old *index.Entry) Reason {
	switch {
	case e.Flags&index.NotStored != 0:
		return InCatalogOnly
	case x.isFirst():
		return FirstSnapshot
	case x.sameStored(e, old):
		return Unchanged
	case e.Flags&index.AtLinkLimit != 0:
		return LinkLimit
	case e.Flags&index.WasMissing != 0:
		return StoredMissing
	case e.Flags&index.Torn != 0:
		return ChangedMeantime
	case x.lost != "":
		return x.lost
	case old == nil:
		return FirstSeen
	}
	return x.apart(e, old)
}

// apart returns the reason why two entries of one path do not have the same stored file.
func (x *Explainer) apart(e, old *index.Entry) Reason {
	differ := tree.Diff(old, e)
	switch {
	case differ&tree.Type != 0:
		return OtherType
	case differ&tree.Body != 0:
		return OtherContent
	case differ&tree.OfInode != 0:
		return OtherMetadata
	case x.NoLinks:
		return NoHardLinks
	case x.copied():
		return ArchiveCopied
	case old.Flags&index.NotStored != 0:
		return WasInCatalog
	case old.Flags&^e.Flags&(index.OwnerCatalogOnly|index.ModeCatalogOnly) != 0:
		return HoldsMore
	}
	return NotLinked
}

// isFirst reports whether the run had no snapshot to compare with.
func (x *Explainer) isFirst() bool { return x.previous == nil && x.lost == "" }

// comparable reports whether equal inode numbers in the two snapshots mean the same stored file. A file system without
// hard links makes the numbers up.
func (x *Explainer) comparable() bool { return x.previous != nil && !x.NoLinks && !x.copied() }

// copied reports whether the inode numbers of the archive have changed since the previous snapshot.
func (x *Explainer) copied() bool {
	return x.previous != nil && x.previous.Summary().Anchor != x.catalog.Summary().Anchor
}

func (x *Explainer) sameStored(e, old *index.Entry) bool {
	return old != nil && old.Type == e.Type && e.Stored != 0 && e.Stored == old.Stored && x.comparable()
}

// entry explains an entry other than a folder.
func (x *Explainer) entry(ctx context.Context, ex *Explanation) error {
	e := &ex.Entry
	ex.Reason = x.judge(e, ex.Old)
	if ex.Reason == Unchanged {
		return x.since(ex, ex.Previous, ex.Path)
	}
	if x.previous == nil || ex.Reason == InCatalogOnly {
		return nil
	}
	was := newSearch()
	if x.comparable() {
		was.addStored(e.Stored)
	}
	was.addContent(e)
	if err := was.in(ctx, x.previous); err != nil {
		return err
	}
	if from := was.stored[e.Stored]; from != "" {
		return x.shared(ex, from)
	}
	older, err := x.returned(ctx, ex)
	if older || err != nil {
		return err
	}
	if ex.SameContent = was.contents[e.Hash]; ex.SameContent != "" {
		same, ok, err := x.previous.Lookup(ex.SameContent)
		if err != nil {
			return err
		}
		if ok {
			ex.Apart = tree.Diff(&same, e).Names()
		}
	}
	if ex.Reason != NotLinked {
		return nil
	}
	now := newSearch()
	now.addStored(ex.Old.Stored)
	if err := now.in(ctx, x.catalog); err != nil {
		return err
	}
	if ex.By = now.stored[ex.Old.Stored]; ex.By != "" {
		ex.Reason = TakenByOther
	}
	return nil
}

// shared explains an entry whose stored file the previous snapshot has under the path from.
func (x *Explainer) shared(ex *Explanation, from string) error {
	ex.Reason = Renamed
	now, ok, err := x.catalog.Lookup(from)
	if err != nil {
		return err
	}
	if ok && now.Stored == ex.Entry.Stored {
		ex.Reason = NewName
	}
	return x.since(ex, ex.Previous, from)
}

// returned looks for the stored file in snapshots before the previous one.
func (x *Explainer) returned(ctx context.Context, ex *Explanation) (bool, error) {
	if ex.Entry.Stored == 0 || !x.comparable() {
		return false, nil
	}
	for _, r := range slices.Backward(x.older) {
		same, err := x.hasStored(r, ex.Path, &ex.Entry)
		if err != nil {
			return false, err
		}
		if same {
			ex.Reason = Returned
			return true, x.since(ex, r.Name, ex.Path)
		}
	}
	if x.catalog.Summary().Counts.Moved == 0 {
		return false, nil
	}
	was := newSearch()
	was.addStored(ex.Entry.Stored)
	with, err := x.inOlder(ctx, was, "")
	if err != nil || with == "" {
		return false, err
	}
	ex.Reason = Returned
	return true, x.since(ex, with, was.stored[ex.Entry.Stored])
}

// inOlder searches for stored files in the snapshots before the previous one, the newest first, until all are found,
// and returns the last snapshot that it searched, or "" if some were not found. In each snapshot it reads only the
// folders that differ from the next one. A run that moved no file linked older stored files under their own paths
// only, all at or below the path below.
func (x *Explainer) inOlder(ctx context.Context, s *search, below string) (with string, err error) {
	if x.catalog.Summary().Counts.Moved > 0 {
		below = ""
	}
	newer := x.previous
	defer func() { err = errors.Join(err, x.closeOlder(newer)) }()
	for _, r := range slices.Backward(x.older) {
		if s.missing() == 0 {
			break
		}
		if r.Name >= x.previous.Summary().Snapshot {
			continue
		}
		c, err := r.OpenCatalog()
		if err == nil && c.Summary().Anchor == x.catalog.Summary().Anchor {
			if err = s.differing(ctx, c, newer, below); err == nil {
				c, newer = newer, c
			}
		}
		if c != nil {
			err = errors.Join(err, x.closeOlder(c))
		}
		if err != nil && !unusable(err) {
			return "", err
		}
		if s.missing() == 0 {
			with = r.Name
		}
	}
	return with, nil
}

func (x *Explainer) closeOlder(c *index.Catalog) error {
	if c == x.previous {
		return nil
	}
	return c.Close()
}

// since finds the oldest of the consecutive snapshots that have the stored file of a shared entry; snapshot with has
// it under the path from.
func (x *Explainer) since(ex *Explanation, with, from string) error {
	ex.With, ex.From = with, from
	for _, r := range slices.Backward(x.older) {
		if r.Name > with {
			continue
		}
		same, err := x.hasStored(r, from, &ex.Entry)
		if err != nil {
			return err
		}
		if !same {
			return nil
		}
		ex.Since = r.Name
		ex.Snapshots++
	}
	return nil
}

// hasStored reports whether a snapshot has the stored file of e under a path; false if its catalog is unusable.
func (x *Explainer) hasStored(r archive.Snapshot, path string, e *index.Entry) (same bool, err error) {
	err = x.inCatalog(r, func(c *index.Catalog) error {
		was, ok, err := c.Lookup(path)
		same = ok && was.Type == e.Type && was.Stored == e.Stored
		return err
	})
	return same, err
}

// inCatalog calls do with the catalog of an older snapshot, unless the catalog is unusable or has other inode numbers.
func (x *Explainer) inCatalog(r archive.Snapshot, do func(*index.Catalog) error) (err error) {
	c, err := r.OpenCatalog()
	if err == nil {
		if c.Summary().Anchor == x.catalog.Summary().Anchor {
			err = do(c)
		}
		err = errors.Join(err, c.Close())
	}
	if unusable(err) {
		return nil
	}
	return err
}
