package main

import (
	"time"

	"snapcopy/internal/verified"
	"snapcopy/internal/verify"
)

type verifyObject struct {
	Archive    string `json:"archive"`
	Snapshots  uint64 `json:"snapshots"`
	Files      uint64 `json:"files"`
	Dirs       uint64 `json:"dirs"`
	FilesRead  uint64 `json:"files_read"`
	BytesRead  uint64 `json:"bytes_read"`
	Damaged    uint64 `json:"damaged"`
	Unreadable uint64 `json:"unreadable"`
	Forgotten  uint64 `json:"forgotten"`

	Seconds       float64      `json:"seconds"`
	NotRemembered string       `json:"not_remembered,omitempty"`
	Known         uint64       `json:"damage_known"`
	Share         *shareObject `json:"share,omitempty"`
	Dates         *datesObject `json:"dates,omitempty"`
}

// shareObject has the figures of verify --budget and --whole-in.
type shareObject struct {
	Compared  []string `json:"compared"` // snapshots whose structure was compared
	Deferred  uint64   `json:"deferred"`
	All       bool     `json:"all"`
	WholeDays *float64 `json:"whole_in_days,omitempty"` // at a run a day
	Suffices  *bool    `json:"suffices,omitempty"`      // for --whole-in
}

// datesObject says when the stored files were last read and found sound.
type datesObject struct {
	Files          uint64     `json:"files"`
	Bytes          uint64     `json:"bytes"`
	NeverRead      uint64     `json:"never_read_files"`
	NeverReadBytes uint64     `json:"never_read_bytes"`
	Within7        uint64     `json:"read_within_7_days_bytes"`
	Within30       uint64     `json:"read_within_30_days_bytes"`
	Oldest         *time.Time `json:"oldest,omitempty"`
	Updated        *time.Time `json:"updated,omitempty"`
}

func datesJSON(t *verified.Table, now time.Time) *datesObject {
	if t == nil {
		return nil
	}
	total := t.Total()
	never, _ := t.NeverRead()
	d := &datesObject{Files: total.Files, Bytes: total.Bytes, NeverRead: never.Files, NeverReadBytes: never.Bytes,
		Within7: t.ReadSince(now.AddDate(0, 0, -7)).Bytes, Within30: t.ReadSince(now.AddDate(0, 0, -30)).Bytes}
	if oldest, ok := t.Oldest(); ok {
		oldest = oldest.UTC()
		d.Oldest = &oldest
	}
	if t.Updated != 0 {
		updated := time.Unix(t.Updated, 0).UTC()
		d.Updated = &updated
	}
	return d
}

func verifyJSON(archive string, r *verify.Report, took time.Duration, now time.Time) *verifyObject {
	v := &verifyObject{
		Archive: archive, Snapshots: r.Snapshots, Files: r.Files, Dirs: r.Dirs, FilesRead: r.FilesRead, BytesRead: r.BytesRead,
		Damaged: r.Damaged, Unreadable: r.Unreadable, Forgotten: r.Forgotten,
		Seconds: took.Seconds(), Dates: datesJSON(r.Dates, now),
	}
	if r.NotRemembered != nil {
		v.NotRemembered = r.NotRemembered.Error()
	}
	if r.Known != nil {
		v.Known = uint64(len(r.Known.Damaged)) + r.Known.More
	}
	if s := r.Share; s != nil {
		v.Share = &shareObject{Compared: append([]string{}, s.Compared...), Deferred: s.Deferred, All: s.All}
	}
	return v
}

// damagedObject is damage that is known, with all names of a damaged stored file.
type damagedObject struct {
	Archive string           `json:"archive"`
	Kind    string           `json:"kind"`
	Stored  uint64           `json:"stored,omitempty"`
	Hash    string           `json:"hash,omitempty"`
	Size    uint64           `json:"size,omitempty"`
	Found   string           `json:"found"`
	Names   []snapshotedPath `json:"names"`
	More    uint64           `json:"more_names,omitempty"`
	Seen    time.Time        `json:"seen"`
	Remedy  string           `json:"remedy,omitempty"`
}

type snapshotedPath struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
}

func damagedJSON(archive string, d *verified.Damaged) *damagedObject {
	o := &damagedObject{Archive: archive, Kind: d.Kind, Stored: d.Stored, Size: d.Size, Found: d.Found, More: d.More, Seen: d.Seen.UTC(),
		Remedy: "snapcopy repair " + shellWord(archive)}
	if d.Kind == verified.Content {
		o.Hash = hex(d.Hash)
	}
	for _, n := range d.Names {
		o.Names = append(o.Names, snapshotedPath(n))
	}
	return o
}
