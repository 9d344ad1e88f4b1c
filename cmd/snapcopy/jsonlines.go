package main

import (
	"errors"
	"fmt"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/history"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
	"snapcopy/prune"
	"snapcopy/restore"
	"snapcopy/restore/instant"
	"snapcopy/restore/tarball"
)

// The objects that are printed with --json, a line each; docs/json.md describes them. Each line begins with its type, which
// printJSON puts there.

// snapshotLine describes one snapshot, for list.
type snapshotLine struct {
	Name     string        `json:"snapshot"`
	Time     time.Time     `json:"time,omitzero"`
	State    string        `json:"state"` // complete, incomplete, suspect: …, damaged, newer, unreadable, no catalog, no folder
	Source   string        `json:"source,omitempty"`
	Host     string        `json:"host,omitempty"`
	Previous string        `json:"previous,omitempty"`
	End      *time.Time    `json:"end,omitempty"`
	RootHash string        `json:"root_hash,omitempty"`
	Counts   *index.Counts `json:"counts,omitempty"`
	AsOf     []string      `json:"kept_as_of,omitempty"` // snapshots whose runs were the last to read entries carried along
	Error    string        `json:"error,omitempty"`
	// Incomplete says so of a suspect snapshot, too. Tripwires are those that nobody has acknowledged.
	Incomplete bool               `json:"incomplete,omitempty"`
	Tripwires  []archive.Tripwire `json:"tripwires,omitempty"`
	Pinned     bool               `json:"pinned,omitempty"`
	Label      string             `json:"label,omitempty"` // of the pin
}

// entryObject is an entry as JSON.
type entryObject struct {
	Path      string        `json:"path"` // from the snapshot's root; "." is the root
	Type      string        `json:"file_type"`
	Mode      string        `json:"mode"` // octal
	UID       uint32        `json:"uid"`
	GID       uint32        `json:"gid"`
	Mtime     string        `json:"mtime"`
	Attrs     string        `json:"attributes,omitempty"` // letters of lsattr
	Size      *uint64       `json:"size,omitempty"`
	Hash      string        `json:"hash,omitempty"` // of a file's content; of a folder: of everything below
	Target    *string       `json:"target,omitempty"`
	Major     *uint32       `json:"major,omitempty"`
	Minor     *uint32       `json:"minor,omitempty"`
	Xattrs    []xattrObject `json:"xattrs,omitempty"`
	XattrHash string        `json:"xattr_hash,omitempty"`
	Nlink     uint32        `json:"nlink,omitempty"`
	Device    *uint64       `json:"device,omitempty"` // of the source
	Inode     uint64        `json:"inode,omitempty"`
	Ctime     string        `json:"ctime,omitempty"`
	Stored    uint64        `json:"stored_inode,omitempty"`
	Flags     []string      `json:"flags,omitempty"`
	AsOf      string        `json:"kept_as_of,omitempty"` // the snapshot whose run was the last to read it
}

type xattrObject struct {
	Name  string `json:"name"`
	Value []byte `json:"value_base64"`
}

// entryJSON describes an entry as in the source.
func entryJSON(path string, e *index.Entry) entryObject {
	if path == "" {
		path = "."
	}
	v := entryObject{Path: path, Type: typeNames[e.Type], Mode: fmt.Sprintf("%04o", e.Mode),
		UID: e.UID, GID: e.GID, Mtime: timeJSON(e.Mtime), Attrs: attrLetters(e.Attrs), Hash: hex(e.Hash),
		XattrHash: hex(e.XattrHash), Flags: flagNames(e.Flags), AsOf: e.AsOf}
	switch e.Type {
	case index.File:
		v.Size = &e.Size
	case index.Symlink:
		v.Target = &e.Target
	case index.CharDevice, index.BlockDevice:
		v.Major, v.Minor = &e.Major, &e.Minor
	}
	return v
}

func timeJSON(t index.Time) string { return timeOf(t).Format(time.RFC3339Nano) }

// catalogObject is the first line of a catalog as JSON.
type catalogObject struct {
	Snapshot    string       `json:"snapshot"`
	Source      string       `json:"source"`
	Host        string       `json:"host"`
	Previous    string       `json:"previous,omitempty"`
	Start       string       `json:"start"`
	End         string       `json:"end"`
	Granularity uint64       `json:"granularity_ns"`
	Incomplete  bool         `json:"incomplete"`
	RootHash    string       `json:"root_hash"`
	Counts      index.Counts `json:"counts"`
}

type versionObject struct {
	Path      string                  `json:"path"`
	First     string                  `json:"first"`
	Last      string                  `json:"last"`
	Snapshots int                     `json:"snapshots"`
	From      string                  `json:"from,omitempty"`
	Gone      string                  `json:"gone,omitempty"`
	To        string                  `json:"to,omitempty"`
	Changes   map[history.Kind]uint64 `json:"changes,omitempty"`
	Below     *totalsObject           `json:"below,omitempty"`
	Entry     entryObject             `json:"entry"`
}

type totalsObject struct {
	Files uint64 `json:"files"`
	Dirs  uint64 `json:"dirs"`
	Bytes uint64 `json:"bytes"`
}

func versionJSON(v *history.Version) versionObject {
	entry := entryJSON(v.Path, v.Entry)
	out := versionObject{Path: entry.Path, First: v.First, Last: v.Last, Snapshots: v.Snapshots,
		From: v.From, Gone: v.Gone, To: v.To, Changes: v.Changes, Entry: entry}
	if v.Entry.Type == index.Dir {
		b := v.Entry.Below
		out.Below = &totalsObject{b.Files, b.Dirs, b.Bytes}
	}
	return out
}

type matchObject struct {
	Path      string      `json:"path"`
	First     string      `json:"first"`
	Last      string      `json:"last"`
	Snapshots int         `json:"snapshots"`
	Entry     entryObject `json:"entry"`
}

type changeObject struct {
	Kind   history.Kind `json:"kind"`
	Path   string       `json:"path"`
	From   string       `json:"from,omitempty"`
	Fields []string     `json:"fields,omitempty"`
	Old    *entryObject `json:"old,omitempty"`
	New    *entryObject `json:"new,omitempty"`
}

func changeJSON(c *history.Change) changeObject {
	path := c.Path
	if path == "" {
		path = "."
	}
	v := changeObject{Kind: c.Kind, Path: path, From: c.From, Fields: c.Fields}
	if c.Old != nil {
		was := c.Path
		if c.Kind == history.Moved {
			was = c.From
		}
		old := entryJSON(was, c.Old)
		v.Old = &old
	}
	if c.New != nil {
		young := entryJSON(c.Path, c.New)
		v.New = &young
	}
	return v
}

type tallyObject struct {
	Folder  string                  `json:"folder"`
	Counts  map[history.Kind]uint64 `json:"counts"`
	Added   uint64                  `json:"bytes_added"`
	Removed uint64                  `json:"bytes_removed"`
}

type explanationObject struct {
	Snapshot    string         `json:"snapshot"`
	Path        string         `json:"path"`
	Reason      history.Reason `json:"reason"`
	Shared      bool           `json:"shared"`
	Previous    string         `json:"previous,omitempty"`
	With        string         `json:"shared_with,omitempty"`
	From        string         `json:"from,omitempty"`
	Since       string         `json:"since,omitempty"`
	Snapshots   int            `json:"snapshots,omitempty"`
	Fields      []string       `json:"fields,omitempty"`
	SameContent string         `json:"same_content,omitempty"`
	Apart       []string       `json:"same_content_fields,omitempty"`
	By          string         `json:"taken_by,omitempty"`
	Old         *entryObject   `json:"old,omitempty"`
	New         *entryObject   `json:"new"`
	Below       *belowObject   `json:"below,omitempty"`
}

type belowObject struct {
	Shared      uint64                    `json:"shared"`
	SharedBytes uint64                    `json:"shared_bytes"`
	Stored      uint64                    `json:"stored_anew"`
	StoredBytes uint64                    `json:"stored_anew_bytes"`
	ByReason    map[history.Reason]uint64 `json:"by_reason"`
}

func explanationJSON(snapshot string, ex *history.Explanation) explanationObject {
	young := entryJSON(ex.Path, &ex.Entry)
	v := explanationObject{Snapshot: snapshot, Path: young.Path, Reason: ex.Reason,
		Shared: ex.Reason.Shared() && ex.Entry.Type != index.Dir, Previous: ex.Previous, With: ex.With, From: ex.From,
		Since: ex.Since, Snapshots: ex.Snapshots, Fields: ex.Fields, SameContent: ex.SameContent,
		Apart: ex.Apart, By: ex.By, New: &young}
	if ex.Old != nil {
		old := entryJSON(ex.Path, ex.Old)
		v.Old = &old
	}
	if b := ex.Below; b != nil {
		v.Below = &belowObject{b.Shared, b.SharedBytes, b.Stored, b.StoredBytes, b.ByReason}
	}
	return v
}

type findingObject struct {
	Snapshot string `json:"snapshot,omitempty"` // none: the archive as a whole
	Path     string `json:"path,omitempty"`     // none: the snapshot as a whole
	Error    string `json:"error"`
	Remedy   string `json:"remedy,omitempty"`
}

// statsLine describes one snapshot, for stats.
type statsLine struct {
	Snapshot  string    `json:"snapshot"`
	Time      time.Time `json:"time"`
	Files     uint64    `json:"files"`
	Folders   uint64    `json:"folders"`
	Logical   uint64    `json:"logical_bytes"`
	Added     uint64    `json:"added_bytes"`
	Unique    uint64    `json:"unique_bytes"`
	UniqueIno uint64    `json:"unique_inodes"`
	Shared    uint64    `json:"shared_bytes"`
	Structure uint64    `json:"structure_bytes"`
	Records   uint64    `json:"records_bytes"` // catalog and run report
	Doubtful  bool      `json:"doubtful,omitempty"`
}

// archiveLine describes an archive, for stats.
type archiveLine struct {
	Archive      string   `json:"archive"`
	Snapshots    int      `json:"snapshots"`
	Stored       uint64   `json:"stored_bytes"`
	Inodes       uint64   `json:"stored_inodes"`
	Logical      uint64   `json:"logical_bytes"`
	Ratio        float64  `json:"ratio"`
	Records      uint64   `json:"records_bytes"`
	Overhead     uint64   `json:"overhead_bytes"`
	OverheadIno  uint64   `json:"overhead_inodes"`
	Free         uint64   `json:"free_bytes"`
	Total        uint64   `json:"total_bytes"`
	FreeInodes   uint64   `json:"free_inodes,omitempty"`
	TotalInodes  uint64   `json:"total_inodes,omitempty"`
	GrowthPerDay *float64 `json:"growth_bytes_per_day,omitempty"`
	DaysLeft     *float64 `json:"days_until_full,omitempty"`
	Doubts       []string `json:"doubts,omitempty"`

	Unfinished []archive.Unfinished `json:"unfinished_runs,omitempty"`
}

// freedLine describes snapshots together, for stats.
type freedLine struct {
	Snapshots []string `json:"snapshots"`
	Freed     uint64   `json:"freed_bytes"`
	Inodes    uint64   `json:"freed_inodes"`
	Doubts    []string `json:"doubts,omitempty"`
}

// topLine is a file or folder that takes much space.
type topLine struct {
	Path  string `json:"path"`
	Type  string `json:"file_type"` // file or dir
	Of    string `json:"of"`        // stored: over the snapshots; grown: in the last run
	Bytes uint64 `json:"bytes"`
	Files uint64 `json:"stored_files"` // versions of a file; below a folder
}

type decisionObject struct {
	Snapshot string      `json:"snapshot"`
	Time     time.Time   `json:"time"`
	Source   string      `json:"source,omitempty"`
	Host     string      `json:"host,omitempty"`
	Plan     string      `json:"plan"` // keep or remove
	Reasons  []string    `json:"reasons"`
	Pinned   bool        `json:"pinned,omitempty"`
	Label    string      `json:"label,omitempty"`
	Freed    *sizeObject `json:"freed,omitempty"` // after the older ones: adds up to that of the sum
}

type planObject struct {
	Snapshots  int            `json:"snapshots"`
	Kept       int            `json:"kept"`
	Removed    int            `json:"removed"`
	Freed      *sizeObject    `json:"freed,omitempty"`
	Missed     []missedObject `json:"missed,omitempty"`
	Unmeasured []string       `json:"unmeasured,omitempty"`
}

type missedObject struct {
	Goal    string `json:"goal"`
	Wanted  uint64 `json:"wanted"`
	Lacking uint64 `json:"lacking"`
}

type elsewhereLine struct {
	Path     string `json:"path"`
	Snapshot string `json:"snapshot"` // the newest that has it
	Size     uint64 `json:"size"`
	Linked   bool   `json:"linked"` // another name of a stored file that is forgotten
}

type forgottenLine struct {
	Event    string `json:"event"` // forgotten, would forget, kept
	Path     string `json:"path"`
	Snapshot string `json:"snapshot"`
	Files    uint64 `json:"files"`
	Dirs     uint64 `json:"dirs"`
	Bytes    uint64 `json:"bytes"`
	Reason   string `json:"reason,omitempty"`
}

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

type restoreObject struct {
	Snapshot            string               `json:"snapshot"`
	Target              string               `json:"target"`
	DryRun              bool                 `json:"dry_run,omitempty"`
	OldTree             string               `json:"old_tree,omitempty"`
	Resumed             bool                 `json:"resumed,omitempty"`
	Unfinished          bool                 `json:"unfinished,omitempty"`
	Files               uint64               `json:"files"`
	Dirs                uint64               `json:"dirs"`
	Existing            uint64               `json:"existing_dirs"`
	Linked              uint64               `json:"linked"`
	Replaced            uint64               `json:"replaced"`
	Unchanged           uint64               `json:"unchanged"`
	Metadata            uint64               `json:"metadata"`
	Deleted             uint64               `json:"deleted"`
	KeptAside           uint64               `json:"kept_aside"`
	Excluded            uint64               `json:"excluded"`
	BytesWritten        uint64               `json:"bytes_written"`
	BytesCloned         uint64               `json:"bytes_cloned"`
	BytesVerified       uint64               `json:"bytes_verified"`
	Spared              []string             `json:"spared,omitempty"`
	TargetDiffers       []string             `json:"target_differs,omitempty"`
	TargetSet           []string             `json:"target_set,omitempty"`
	OtherTimesCount     uint64               `json:"other_times_count,omitempty"`
	OtherTimes          []string             `json:"other_times,omitempty"`
	UnsavedCount        uint64               `json:"not_deleted_count,omitempty"`
	Unsaved             []unsavedObject      `json:"not_deleted,omitempty"`
	CatalogOnly         catalogOnlyObject    `json:"catalog_only"`
	Lacking             []string             `json:"missing_capabilities,omitempty"`
	UserNamespace       bool                 `json:"user_namespace,omitempty"`
	KeptCount           uint64               `json:"kept_count,omitempty"`
	Kept                []keptObject         `json:"kept,omitempty"`
	FailedCount         uint64               `json:"failed_count"`
	Damaged             uint64               `json:"damaged"`
	Failed              []failedObject       `json:"failed,omitempty"`
	SnapshotFailedCount uint64               `json:"snapshot_failed_count,omitempty"`
	SnapshotFailed      []archive.FailedItem `json:"snapshot_failed,omitempty"`
}

// restoreJSON describes a restore, and the entries that the snapshot lacks.
func restoreJSON(r *restore.Report, lacks *lackingInSnapshot) *restoreObject {
	return &restoreObject{
		Snapshot: r.Snapshot, Target: r.Target, DryRun: r.DryRun, OldTree: r.OldTree, Resumed: r.Resumed, Unfinished: r.Unfinished,
		Files: r.Files, Dirs: r.Dirs, Existing: r.Existing, Linked: r.Linked, Replaced: r.Replaced, Unchanged: r.Unchanged,
		Metadata: r.Metadata, Deleted: r.Deleted, KeptAside: r.KeptAside, Excluded: r.Excluded, BytesWritten: r.BytesWritten,
		BytesCloned: r.BytesCloned, BytesVerified: r.BytesVerified, Spared: r.Spared, TargetDiffers: r.TargetDiffers,
		TargetSet: r.TargetSet, OtherTimesCount: r.OtherTimesCount, OtherTimes: r.OtherTimes, UnsavedCount: r.UnsavedCount,
		Unsaved: unsavedJSON(r.Unsaved), CatalogOnly: catalogOnlyObject(r.CatalogOnly), Lacking: r.Lacking, UserNamespace: r.UserNamespace,
		KeptCount: r.KeptCount, Kept: keptJSON(r.Kept),
		FailedCount: r.FailedCount, Damaged: r.Damaged, Failed: failedJSON(r.Failed),
		SnapshotFailedCount: lacks.Count, SnapshotFailed: lacks.Failed,
	}
}

type catalogOnlyObject struct {
	Owners uint64 `json:"owners,omitempty"`
	Modes  uint64 `json:"modes,omitempty"`
	Times  uint64 `json:"times,omitempty"`
	Xattrs uint64 `json:"xattrs,omitempty"`
	Links  uint64 `json:"links,omitempty"`
	Attrs  uint64 `json:"attributes,omitempty"`
	Space  uint64 `json:"preallocated_space,omitempty"`
}

type tarObject struct {
	Snapshot          string         `json:"snapshot"`
	Files             uint64         `json:"files"`
	Dirs              uint64         `json:"dirs"`
	Linked            uint64         `json:"linked"`
	Excluded          uint64         `json:"excluded"`
	BytesContent      uint64         `json:"bytes_content"`
	BytesArchive      uint64         `json:"bytes_archive"`
	XattrsCatalogOnly uint64         `json:"xattrs_catalog_only,omitempty"`
	HolesCatalogOnly  uint64         `json:"holes_catalog_only,omitempty"`
	FailedCount       uint64         `json:"failed_count"`
	Damaged           uint64         `json:"damaged"`
	NotInTar          uint64         `json:"not_in_tar"`
	Failed            []failedObject `json:"failed,omitempty"`
}

func tarJSON(r *tarball.Report) *tarObject {
	return &tarObject{
		Snapshot: r.Snapshot, Files: r.Files, Dirs: r.Dirs, Linked: r.Linked, Excluded: r.Excluded, BytesContent: r.BytesContent,
		BytesArchive: r.BytesArchive, XattrsCatalogOnly: r.XattrsCatalogOnly, HolesCatalogOnly: r.HolesCatalogOnly, FailedCount: r.FailedCount,
		Damaged: r.Damaged, NotInTar: r.NotInTar, Failed: failedJSON(r.Failed),
	}
}

type instantObject struct {
	Snapshot      string            `json:"snapshot"`
	Mountpoint    string            `json:"mountpoint"`
	Folder        string            `json:"state_folder"`
	Resumed       bool              `json:"resumed"`
	Mended        uint64            `json:"mended"`
	CatalogOnly   catalogOnlyObject `json:"catalog_only"`
	Lacking       []string          `json:"missing_capabilities,omitempty"`
	UserNamespace bool              `json:"user_namespace,omitempty"`
	NoRename      bool              `json:"no_folder_rename,omitempty"`
}

func instantJSON(r *instant.Report) *instantObject {
	return &instantObject{
		Snapshot: r.Snapshot, Mountpoint: r.Mountpoint, Folder: r.Folder, Resumed: r.Resumed, Mended: r.Mended,
		CatalogOnly: catalogOnlyObject(r.CatalogOnly), Lacking: r.Lacking, UserNamespace: r.UserNamespace, NoRename: r.NoRename,
	}
}

type settleObject struct {
	Snapshot     string         `json:"snapshot"`
	Mountpoint   string         `json:"mountpoint"`
	Copied       uint64         `json:"copied"`
	BytesChecked uint64         `json:"bytes_checked"`
	Changed      uint64         `json:"changed"`
	Unavailable  time.Duration  `json:"unavailable_ns"`
	Damaged      []string       `json:"damaged,omitempty"`
	FailedCount  uint64         `json:"failed_count"`
	Failed       []failedObject `json:"failed,omitempty"`
	Settled      bool           `json:"settled"`
}

func settleJSON(r *instant.SettleReport) *settleObject {
	return &settleObject{
		Snapshot: r.Snapshot, Mountpoint: r.Mountpoint, Copied: r.Copied, BytesChecked: r.BytesChecked, Changed: r.Changed,
		Unavailable: r.Unavailable, Damaged: r.Damaged, FailedCount: r.FailedCount, Failed: failedJSON(r.Failed),
		Settled: r.Settled,
	}
}

type removedObject struct {
	Name       string `json:"snapshot"`
	Files      uint64 `json:"files"`
	Dirs       uint64 `json:"dirs"`
	Bytes      uint64 `json:"bytes"`
	Incomplete bool   `json:"incomplete,omitempty"`
}

type skippedObject struct {
	Name   string `json:"snapshot"`
	Reason string `json:"reason"`
	Note   string `json:"note,omitempty"`
}

type removalObject struct {
	Archive    string          `json:"archive"`
	DryRun     bool            `json:"dry_run,omitempty"`
	Removed    []removedObject `json:"removed"`
	Skipped    []skippedObject `json:"skipped,omitempty"`
	Unlinked   uint64          `json:"unlinked"`
	Freed      *uint64         `json:"freed_bytes,omitempty"`
	Unfinished []string        `json:"unfinished,omitempty"`
	Postponed  []string        `json:"postponed,omitempty"`
	Recovered  []string        `json:"recovered,omitempty"`
	Start      time.Time       `json:"start"`
	End        time.Time       `json:"end"`
}

// texts returns the messages of errors.
func texts(list []error) (out []string) {
	for _, err := range list {
		out = append(out, err.Error())
	}
	return out
}

func removalJSON(r *archive.RemoveReport) *removalObject {
	v := &removalObject{Removed: []removedObject{},
		Archive: r.Archive, DryRun: r.DryRun, Unlinked: r.Unlinked, Freed: r.Freed, Unfinished: texts(r.Unfinished),
		Postponed: texts(r.Postponed), Recovered: r.Recovered, Start: r.Start, End: r.End,
	}
	for i := range r.Removed {
		v.Removed = append(v.Removed, removedObject(r.Removed[i]))
	}
	for i := range r.Skipped {
		v.Skipped = append(v.Skipped, skippedObject{r.Skipped[i].Name, skippedText(&r.Skipped[i]), r.Skipped[i].Note})
	}
	return v
}

type failedObject struct {
	Path    string `json:"path"`
	Error   string `json:"error"`
	Damaged bool   `json:"damaged,omitempty"`
}

func failedJSON(list []outcome.Failure) (objects []failedObject) {
	for i := range list {
		f := &list[i]
		objects = append(objects, failedObject{f.Path, f.Err.Error(), errors.Is(f.Err, tree.ErrDamaged)})
	}
	return objects
}

type unsavedObject struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

func unsavedJSON(list []restore.UnsavedItem) (objects []unsavedObject) {
	for _, u := range list {
		objects = append(objects, unsavedObject(u))
	}
	return objects
}

type sizeObject struct {
	Bytes  uint64 `json:"bytes"`
	Inodes uint64 `json:"inodes"`
}

func sizeJSON(s *prune.Size) *sizeObject { return (*sizeObject)(s) }

// errorObject is the reason why a command has failed, on stderr. An outcome in the other objects, such as damage
// found, is no error.
type errorObject struct {
	Status int    `json:"status"`
	Error  string `json:"error"` // several are on lines of their own
	Hint   string `json:"hint,omitempty"`
}
