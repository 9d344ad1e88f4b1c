package archive

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"snapcopy/internal/fsat"
	"snapcopy/internal/journal"
	"snapcopy/internal/plainfile"
)

// An unfinished run is one that has stored files and published nothing. The next run of its source goes on from there.
// All that it has made lies in a folder of its own in the work folder, so that runs of other sources leave it alone:
//
//	journal       what was stored: see package journal
//	journal.new   the next journal, while it is made from the last one
//	kept/         stored files of earlier runs, each with the number of its inode as its name
//	tree/         the mirror of the last run
//	publishing    the name of the snapshot, once the run is about to publish it, and the inode number of its folder. If
//	              that snapshot exists, all files here are names of its files: they may be removed, and never be written to
const (
	unfinishedPrefix = "unfinished-"

	JournalFile    = "journal"
	NewJournal     = "journal.new"
	KeptDir        = "kept"
	PublishingNote = "publishing"
)

// Unfinished describes the work of an unfinished run, as its journal tells.
type Unfinished struct {
	Path    string    `json:"-"` // of its folder
	Host    string    `json:"host"`
	Source  string    `json:"source"`
	Began   time.Time `json:"began"`
	Files   uint64    `json:"files"` // stored
	Bytes   uint64    `json:"bytes"` // of their contents, with those of partial copies
	Partial uint64    `json:"partial_files,omitempty"`
}

// Add counts a record of the journal.
func (u *Unfinished) Add(rec *journal.Record) {
	if rec.Partial() {
		u.Partial++
		u.Bytes += rec.Copied()
		return
	}
	u.Files++
	u.Bytes += rec.Entry.Size
}

// UnfinishedName returns the name of the folder for unfinished runs of a source.
func UnfinishedName(s SourceID) string {
	sum := blake3.Sum256([]byte(s.Host + "\x00" + s.Path))
	return unfinishedPrefix + hex.EncodeToString(sum[:8])
}

// UnfinishedPath returns the path of the folder for unfinished runs of a source.
func (a *Archive) UnfinishedPath(s SourceID) string { return a.Meta.Path(WorkDir, UnfinishedName(s)) }

// OpenUnfinished opens the folder for unfinished runs of a source, and makes it if it is missing. moved says that another
// object was in its place, and is in the trash now.
func (a *Locked) OpenUnfinished(s SourceID) (fd int, moved bool, err error) {
	work, err := a.Meta.Open(WorkDir)
	if err != nil {
		return fsat.NoDir, false, err
	}
	fd, moved, err = a.OpenInWork(work, UnfinishedName(s))
	if err = errors.Join(err, fsat.Close(work)); err != nil {
		return fsat.NoDir, moved, &fs.PathError{Op: "open", Path: a.UnfinishedPath(s), Err: err}
	}
	return fd, moved, nil
}

// OpenInWork opens a folder in dir, which is or lies in the work folder, and makes it if it is missing. moved says that
// another object was in its place, and is in the trash now.
func (a *Locked) OpenInWork(dir int, name string) (fd int, moved bool, err error) {
	for {
		if err = fsat.Mkdir(dir, name, 0o700); err == nil || fsat.IsExist(err) {
			fd, err = fsat.OpenDir(dir, name)
		}
		if moved || !fsat.IsOtherType(err) {
			return fd, moved, err
		}
		if err := a.TrashWork(dir, name); err != nil {
			return fsat.NoDir, false, err
		}
		moved = true
	}
}

// DropUnfinished moves the folder for unfinished runs of a source into the trash. It returns false if there is none.
func (a *Locked) DropUnfinished(s SourceID) (dropped bool, err error) {
	work, err := a.Meta.Open(WorkDir)
	if err != nil {
		return false, err
	}
	err = a.TrashWork(work, UnfinishedName(s))
	if fsat.IsGone(err) {
		return false, fsat.Close(work)
	}
	return err == nil, errors.Join(err, fsat.Close(work))
}

// TrashWork moves a name of the open folder dir, which is or lies in the work folder, into the trash.
func (a *Locked) TrashWork(dir int, name string) error {
	trash, err := a.Meta.Open(trashDir)
	if err != nil {
		return err
	}
	to := unfinishedPrefix + strings.TrimPrefix(name, unfinishedPrefix)
	for i := 2; ; i++ {
		err = fsat.RenameNew(dir, name, trash, to)
		if !fsat.IsExist(err) {
			break
		}
		to = fmt.Sprintf("%s%s-%d", unfinishedPrefix, strings.TrimPrefix(name, unfinishedPrefix), i)
	}
	return errors.Join(err, fsat.Close(trash))
}

// UnfinishedRuns returns the unfinished runs of the archive that have stored something. A run that is under way is one of
// them.
func (a *Archive) UnfinishedRuns() (list []Unfinished, err error) {
	names, err := a.Meta.listDerived(WorkDir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, unfinishedPrefix) || a.Meta.isPublished(name) {
			continue
		}
		u, err := ReadUnfinished(a.Meta.Path(WorkDir, name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, journal.ErrForeign) || errors.Is(err, plainfile.ErrKind) || fsat.IsOtherType(err) {
			continue // the run had not stored anything, or the next one will begin anew
		}
		if err != nil {
			return nil, err
		}
		if u.Files+u.Partial > 0 {
			list = append(list, u)
		}
	}
	return list, nil
}

// UnfinishedRun returns the unfinished run of a source; nil: there is none.
func (a *Archive) UnfinishedRun(s SourceID) (*Unfinished, error) {
	list, err := a.UnfinishedRuns()
	for i := range list {
		if list[i].Path == a.UnfinishedPath(s) {
			return &list[i], err
		}
	}
	return nil, err
}

// ReadUnfinished counts what the journal in the folder of an unfinished run has. A file that changed between two runs
// counts twice.
func ReadUnfinished(path string) (u Unfinished, err error) {
	file, err := plainfile.Open(filepath.Join(path, JournalFile))
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r, err := journal.NewReader(file)
	if err != nil {
		return u, err
	}
	u = Unfinished{Path: path, Host: r.Header.Host, Source: r.Header.Source, Began: r.Header.Began}
	growing := make(map[string]*journal.Record) // partial copies, which have several records
	for {
		_, rec, err := r.Next()
		if err == io.EOF {
			return u, nil
		}
		if err != nil {
			return u, &fs.PathError{Op: "read", Path: file.Name(), Err: err}
		}
		path := rec.Dir + "/" + rec.Entry.Name
		if before := growing[path]; before != nil {
			u.Partial--
			u.Bytes -= before.Copied()
			delete(growing, path)
		}
		if u.Add(rec); rec.Partial() {
			growing[path] = rec
		}
	}
}

// isPublished reports whether the run whose folder has that name in the work folder has published its snapshot.
func (m *Meta) isPublished(name string) bool {
	text, err := plainfile.Read(m.Path(WorkDir, name, PublishingNote), maxPublishingText)
	if err != nil {
		return false
	}
	snapshot, _, _ := strings.Cut(string(text), " ")
	root, err := fsat.OpenParent(m.fd)
	if err != nil {
		return false
	}
	defer func() { _ = fsat.Close(root) }() // only looked at
	var st fsat.Stat
	_, isName := ParseName(snapshot)
	return isName && fsat.StatAt(root, snapshot, &st) == nil && string(text) == PublishingText(snapshot, st.Ino)
}

// maxPublishingText is more than the length of any PublishingText, in bytes.
const maxPublishingText = 100

// PublishingText is the content of the note in PublishingNote: the name of a snapshot, and the number of its folder's
// inode. Another run may have taken the name.
func PublishingText(snapshot string, top uint64) string { return fmt.Sprintf("%s %d\n", snapshot, top) }
