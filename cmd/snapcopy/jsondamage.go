package main

import (
	"snapcopy/repair"
)

// repairItemObject is one damaged entry, catalog or extra name, for repair.
type repairItemObject struct {
	What     string        `json:"what"` // entry, extra, catalog, index, latest
	Names    []nameObject  `json:"names,omitempty"`
	Found    string        `json:"found"`
	Repaired bool          `json:"repaired"` // in a dry run: would be
	Origin   *originObject `json:"origin,omitempty"`
	Error    string        `json:"error,omitempty"`
	Nearest  *nameObject   `json:"nearest,omitempty"`
}

type nameObject struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path,omitempty"`
}

// originObject says where right content comes from.
type originObject struct {
	Kind     string `json:"kind"` // itself, stored file, archive, source, catalog, folder, copy
	Archive  string `json:"archive,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	Path     string `json:"path,omitempty"`
}

func repairItemJSON(item *repair.Item) *repairItemObject {
	v := &repairItemObject{What: string(item.What), Found: item.Found, Repaired: item.Err == nil}
	for _, n := range item.Names {
		v.Names = append(v.Names, nameObject(n))
	}
	if o := item.Origin; o != nil {
		v.Origin = &originObject{string(o.Kind), o.Archive, o.Snapshot, o.Path}
	}
	if item.Err != nil {
		v.Error = item.Err.Error()
	}
	if item.Nearest != nil {
		nearest := nameObject(*item.Nearest)
		v.Nearest = &nearest
	}
	return v
}

// repairObject has the figures of a repair.
type repairObject struct {
	Archive    string `json:"archive"`
	DryRun     bool   `json:"dry_run,omitempty"`
	Repaired   uint64 `json:"repaired"`
	Unrepaired uint64 `json:"unrepaired"`
	NoRoom     uint64 `json:"no_room,omitempty"`

	NoRoomBytes uint64   `json:"no_room_bytes,omitempty"`
	Unreadable  uint64   `json:"unreadable,omitempty"`
	Unexamined  uint64   `json:"unexamined_snapshots,omitempty"`
	Snapshots   []string `json:"snapshots,omitempty"`
	Bytes       uint64   `json:"bytes_stored"`
	Recovered   []string `json:"recovered,omitempty"`
}

// rebuiltObject describes a catalog that was made anew.
type rebuiltObject struct {
	Snapshot   string   `json:"snapshot"`
	Why        string   `json:"why"`
	Files      uint64   `json:"files"`
	Dirs       uint64   `json:"dirs"`
	Bytes      uint64   `json:"bytes"`
	Damaged    []string `json:"damaged,omitempty"`
	Unreadable []string `json:"unreadable,omitempty"`
	NoReport   bool     `json:"no_report,omitempty"`
	Aside      string   `json:"kept_aside,omitempty"`
	Recovered  []string `json:"recovered,omitempty"`
}

func rebuiltJSON(r *repair.Rebuilt) *rebuiltObject {
	return &rebuiltObject{r.Snapshot, r.Why.Error(), r.Files, r.Dirs, r.Bytes, r.Damaged, r.Unreadable, r.NoReport, r.Aside, r.Recovered}
}
