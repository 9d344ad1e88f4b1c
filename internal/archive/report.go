package archive

import (
	"encoding/json"
	"path/filepath"
	"time"
	"unicode/utf8"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/jsonfile"
)

// Report describes a run. It is stored as .snapcopy/runs/NAME.json.
type Report struct {
	Snapshot   string       `json:"snapshot"`
	Source     string       `json:"source"`
	Archive    string       `json:"archive"`
	Previous   string       `json:"previous,omitempty"`
	Start      time.Time    `json:"start"`
	End        time.Time    `json:"end"`
	DryRun     bool         `json:"dry_run,omitempty"`
	Created    bool         `json:"archive_created,omitempty"`
	State      string       `json:"state,omitempty"` // as the run left the snapshot: see StateOf
	Incomplete bool         `json:"incomplete"`
	Counts     index.Counts `json:"counts"`
	Structure  uint64       `json:"structure_bytes"` // space of the snapshot's folders
	// Same says that the source was exactly as the previous snapshot has it.
	Same   bool         `json:"nothing_changed,omitempty"`
	Failed []FailedItem `json:"failed,omitempty"`

	*Needs // what the snapshot would take, in a dry run; nil: it was not counted

	// Retries counts the further tries to read entries that could not be read for an error that may pass. RetriedEntries of
	// them waited for that, and ReadAfterRetry could be read then. NotRetried failed at once, because too many waited, or
	// time was up.
	Retries        uint64 `json:"retries,omitempty"`
	RetriedEntries uint64 `json:"retried_entries,omitempty"`
	ReadAfterRetry uint64 `json:"read_after_retry,omitempty"`
	NotRetried     uint64 `json:"not_retried,omitempty"`

	// Filters are the rules by which the run left entries out; nil: a run that did not record them.
	Filters *filter.Filter `json:"filters,omitempty"`
	// UnmatchedPatterns are those of Filters that matched no entry. The run has not seen entries below folders that were
	// left out, nor, if entries failed, all others.
	UnmatchedPatterns filter.Rules `json:"unmatched_patterns,omitempty"`
	// LeftOut has the first 10,000 entries that were left out because of their size, an attribute, or a marker in
	// them, which may have changed since; LeftOutCount counts all of them.
	LeftOut      []LeftOutItem `json:"left_out,omitempty"`
	LeftOutCount uint64        `json:"left_out_count,omitempty"`
	// ForgottenIn has the folders from which forget-path has taken an entry, without the entry's name.
	ForgottenIn []LeftOutItem `json:"forgotten_in,omitempty"`

	// Baseline compares the run with the last good snapshot of the same source. nil: there is no such snapshot.
	Baseline *Coverage `json:"baseline,omitempty"`
	// Tripwires are the signs that the run looks wrong. Pruning waits until a person acknowledges them.
	Tripwires []Tripwire `json:"tripwires,omitempty"`
	// Waiting has the earlier snapshots of the source that wait to be acknowledged; nil: there is none.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Limits are those by which the run was judged; nil: a run that did not record them.
	Limits *Limits `json:"limits,omitempty"`
	// Place is where the source is, and PlaceWas where it was according to the base line; nil: not known.
	Place    *Place `json:"source_place,omitempty"`
	PlaceWas *Place `json:"source_place_was,omitempty"`

	// Numbers of entries of which only the catalog has everything: see index.CatalogOnly.
	CatalogOnly CatalogOnly `json:"catalog_only"`
	// Lacking names the capabilities that root lacks and would need to store these entries completely; UserNamespace
	// says that the user was root of a user namespace only.
	Lacking       []string `json:"missing_capabilities,omitempty"`
	UserNamespace bool     `json:"user_namespace,omitempty"`
	// LinkLimit counts stored files that reached the file system's link limit and were stored afresh.
	LinkLimit uint64 `json:"link_limit,omitempty"`
	// Missing counts files that had to be stored again because the previous snapshot's copy was gone.
	Missing uint64 `json:"missing_in_previous,omitempty"`
	// Altered has stored files of earlier snapshots that the run found altered; AlteredCount counts all of them. This
	// snapshot has new files from the source, and the earlier snapshots with these stored files are damaged.
	Altered      []Altered `json:"altered,omitempty"`
	AlteredCount uint64    `json:"altered_count,omitempty"`
	// Copied says that the archive is a copy, or was moved to another file system, since the previous snapshot.
	Copied bool `json:"archive_copied,omitempty"`
	// Rechecked counts the stored files that were looked at before they were linked. RecheckNext is where the next run
	// goes on with that, round and round.
	Rechecked   uint64 `json:"rechecked,omitempty"`
	RecheckNext uint32 `json:"recheck_next,omitempty"`
	// Rotten has the first files of the source that are damaged there; RottenCount counts all of them. Rehashed counts
	// the unchanged files that were read to find that out. RehashNext is where the next run goes on.
	Rotten      []Rotten `json:"rotten,omitempty"`
	RottenCount uint64   `json:"rotten_count,omitempty"`
	Rehashed    uint64   `json:"rehashed,omitempty"`
	RehashNext  uint32   `json:"rehash_next,omitempty"`
	// SetsOwners says that the run could set owners and modes in the archive.
	SetsOwners bool `json:"sets_owners,omitempty"`
	// SelfExcluded is the path of the archive below the source, which was left out.
	SelfExcluded string `json:"archive_left_out,omitempty"`
	// MarkedItself is the rule that would leave out the source itself, if it were a folder below a source.
	MarkedItself string `json:"source_marked,omitempty"`
	// UnfinishedRestores has the first 100 folders of the source, below its top, with the note of an unfinished
	// restore. The notes are left out.
	UnfinishedRestores []LeftOutItem `json:"unfinished_restores,omitempty"`
	// IndexRebuilt is the reason why the content-hash index was made anew, or "".
	IndexRebuilt string `json:"index_rebuilt,omitempty"`
	// PreviousUnusable is the reason why the previous snapshot's catalog could not be used, or "".
	PreviousUnusable string `json:"previous_unusable,omitempty"`
	// BaselineUnusable is the reason why a part of the base line could not be compared, or "".
	BaselineUnusable string `json:"baseline_unusable,omitempty"`
	// Unfinished lists failures after the snapshot was published; the next run repeats these steps.
	Unfinished []string `json:"unfinished,omitempty"`
	// InFuture names snapshots from the future by the present clock: the clock is wrong, or another one was.
	InFuture []string `json:"in_future,omitempty"`
	// OtherSource is the source of the previous snapshot, if the archive has no snapshot of this source.
	OtherSource string `json:"previous_source,omitempty"`
	// Contains is another source of the archive's snapshots that lies in this one, which is new.
	Contains string `json:"contains_source,omitempty"`
	// Recovered has a sentence for each piece of work of interrupted runs and removals that this run finished first. As
	// with Mended, Unfinished and other reasons, the file of the report has the sentence.
	Recovered []string `json:"recovered,omitempty"`
	// Resumed counts what the run took over from interrupted runs; these files count as stored by this run, too.
	Resumed Resumed `json:"resumed,omitzero"`
	// Left is what the run, which has published nothing, leaves to the next run of the source; in a dry run, what an
	// earlier one has left. nil: nothing.
	Left *Unfinished `json:"left,omitempty"`
	// Findings lists faults of the archive's own notes that a person has to resolve.
	Findings []Finding `json:"-"`
	// Mended has a sentence for each of the archive's own folders and files that was made anew.
	Mended []string `json:"mended,omitempty"`
	// ArchiveMode is the mode of an existing folder that became an archive, if it gives other users access.
	ArchiveMode uint32 `json:"archive_mode,omitempty"`
	// ArchiveID is the id of the archive, from which it is derived if archive.json is lost.
	ArchiveID string `json:"archive_id,omitempty"`
	// CopiedFrom says of which snapshot of another archive this one is a copy; nil: of none.
	CopiedFrom *Origin `json:"copied_from,omitempty"`
}

// Resumed counts files stored by interrupted runs, with the bytes that were neither read nor written again.
type Resumed struct {
	Files uint64 `json:"files"`
	Bytes uint64 `json:"bytes"`
}

// Origin is a snapshot of another archive.
type Origin struct {
	ArchiveID string `json:"archive_id"`
	Snapshot  string `json:"snapshot"`
	// NoReport is the reason why the report of the copied snapshot's run is unknown, or "": entries left out and
	// entries that could not be read are then unknown, too.
	NoReport string `json:"no_report,omitempty"`
}

// CatalogOnly counts entries of which the archive's file system, or the privileges of the run, could not store everything.
// The catalog has the truth: see index.CatalogOnly.
type CatalogOnly struct {
	Entries uint64 `json:"entries,omitempty"` // not in the mirror at all
	Owners  uint64 `json:"owners,omitempty"`
	Modes   uint64 `json:"modes,omitempty"`
	Times   uint64 `json:"times,omitempty"`
	Xattrs  uint64 `json:"xattrs,omitempty"`
	Links   uint64 `json:"links,omitempty"`
	Names   uint64 `json:"names,omitempty"` // listed under another spelling
	// LinksChanged counts names that were linked, or replaced, while the run looked at the other names of their inode.
	LinksChanged uint64 `json:"links_changed,omitempty"`
	Space        uint64 `json:"preallocated_space,omitempty"` // not recorded in the catalog either
}

// Add counts the flags of an entry. Links are not counted here, since the flag does not tell the reason.
func (n *CatalogOnly) Add(f index.Flags) {
	for _, c := range []struct {
		flag  index.Flags
		count *uint64
	}{
		{index.NotStored, &n.Entries}, {index.OwnerCatalogOnly, &n.Owners}, {index.ModeCatalogOnly, &n.Modes},
		{index.TimeCatalogOnly, &n.Times}, {index.XattrsCatalogOnly, &n.Xattrs},
	} {
		if f&c.flag != 0 {
			*c.count++
		}
	}
}

// FailedItem is an entry that could not be stored, and the reason.
type FailedItem struct {
	Path  string
	Error string
	// KeptAsOf is the snapshot whose run was the last to read the entry, which is carried along as of then; "": it is
	// missing in the snapshot.
	KeptAsOf string
	Tries    int // 0: one
}

// bytesIfNeeded returns a name that JSON cannot express, for the base64 field, and nil for all others.
func bytesIfNeeded(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func (f FailedItem) object() failedObject {
	return failedObject{f.Path, bytesIfNeeded(f.Path), f.Error, f.KeptAsOf, f.Tries}
}

type failedObject struct {
	Path  string `json:"path"`
	Raw   []byte `json:"path_base64,omitempty"`
	Error string `json:"error"`
	AsOf  string `json:"kept_as_of,omitempty"`
	Tries int    `json:"tries,omitempty"`
}

// MarshalJSON adds a field in base64 for a path that is not UTF-8.
func (f FailedItem) MarshalJSON() ([]byte, error) { return json.Marshal(f.object()) }

// UnmarshalJSON is the inverse of MarshalJSON.
func (f *FailedItem) UnmarshalJSON(text []byte) error {
	var v failedObject
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*f = FailedItem{v.Path, v.Error, v.AsOf, v.Tries}
	if v.Raw != nil {
		f.Path = string(v.Raw)
	}
	return nil
}

// LeftOutItem is an entry that was left out, and the rule.
type LeftOutItem struct {
	Path string
	Rule string
}

type leftOutObject struct {
	Path string `json:"path"`
	Raw  []byte `json:"path_base64,omitempty"`
	Rule string `json:"rule"`
}

// MarshalJSON adds a field in base64 for a path that is not UTF-8.
func (l LeftOutItem) MarshalJSON() ([]byte, error) {
	return json.Marshal(leftOutObject{l.Path, bytesIfNeeded(l.Path), l.Rule})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (l *LeftOutItem) UnmarshalJSON(text []byte) error {
	var v leftOutObject
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*l = LeftOutItem{v.Path, v.Rule}
	if v.Raw != nil {
		l.Path = string(v.Raw)
	}
	return nil
}

// plainReport is a Report without its methods.
type plainReport Report

type reportObject struct {
	*plainReport
	SourceRaw  []byte `json:"source_base64,omitempty"`
	ArchiveRaw []byte `json:"archive_base64,omitempty"`
	SelfRaw    []byte `json:"archive_left_out_base64,omitempty"`
}

func (r *Report) object() reportObject {
	return reportObject{(*plainReport)(r), bytesIfNeeded(r.Source), bytesIfNeeded(r.Archive), bytesIfNeeded(r.SelfExcluded)}
}

// MarshalJSON adds fields in base64 for paths that are not UTF-8.
func (r *Report) MarshalJSON() ([]byte, error) { return json.Marshal(r.object()) }

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Report) UnmarshalJSON(text []byte) error {
	v := reportObject{plainReport: (*plainReport)(r)}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	for _, field := range []struct {
		raw  []byte
		name *string
	}{{v.SourceRaw, &r.Source}, {v.ArchiveRaw, &r.Archive}, {v.SelfRaw, &r.SelfExcluded}} {
		if field.raw != nil {
			*field.name = string(field.raw)
		}
	}
	return nil
}

// Path returns the path of the report.
func (r *Report) Path() string {
	return filepath.Join(r.Archive, MetaDir, RunsDir, r.Snapshot+reportExt)
}

// WriteReport puts the report of a snapshot into its place.
func (a *Locked) WriteReport(r *Report) error { return r.WriteTo(a.Reports.path(r.Snapshot)) }

// WriteTo writes the report to a file.
func (r *Report) WriteTo(path string) error { return jsonfile.Write(path, r) }

func (n *CatalogOnly) AddAll(m *CatalogOnly) {
	n.Entries += m.Entries
	n.Owners += m.Owners
	n.Modes += m.Modes
	n.Times += m.Times
	n.Xattrs += m.Xattrs
	n.Links += m.Links
	n.Names += m.Names
	n.LinksChanged += m.LinksChanged
	n.Space += m.Space
}

// Altered is an entry of a published snapshot that differs from its record.
type Altered struct {
	Snapshot string
	Path     string
	Found    string // the difference
}

// MarshalJSON adds a field in base64 for a path that is not UTF-8.
func (a Altered) MarshalJSON() ([]byte, error) {
	return json.Marshal(alteredObject{a.Snapshot, a.Path, bytesIfNeeded(a.Path), a.Found})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (a *Altered) UnmarshalJSON(text []byte) error {
	var v alteredObject
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*a = Altered{v.Snapshot, v.Path, v.Found}
	if v.Raw != nil {
		a.Path = string(v.Raw)
	}
	return nil
}

type alteredObject struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
	Raw      []byte `json:"path_base64,omitempty"`
	Found    string `json:"found"`
}
