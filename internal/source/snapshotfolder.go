package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// snapshotFolder is a folder of a Snapshot. It reads its record when first asked for names, and opens the archive's
// folder when first asked for a content.
type snapshotFolder struct {
	of       *Snapshot
	parent   *snapshotFolder // nil: the top, or the first folder carried along
	entry    index.Entry
	carriage *carriage // nil: it is the folder of a copied snapshot

	mu     sync.Mutex
	record *index.Record
	list   []fsat.DirEntry // goes with the record
	fd     int
}

func (f *snapshotFolder) Stat(st *Stat) error { return f.describe(&f.entry, st) }

// describe sets st to the description of the folder's own entry, or of one in it, and keeps the entry.
func (f *snapshotFolder) describe(e *index.Entry, st *Stat) error {
	if err := f.of.describe(e, st); err != nil {
		return err
	}
	f.carriage.mark(e, st)
	return nil
}

// List returns the names in the catalog.
func (f *snapshotFolder) List([]byte) ([]fsat.DirEntry, error) {
	r, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.list == nil {
		f.list = make([]fsat.DirEntry, 0, r.Len())
		for _, e := range r.Entries() {
			f.list = append(f.list, fsat.DirEntry{Name: e.Name, Type: tree.KindOf(e.Type)})
		}
	}
	return f.list, nil
}

// read returns the folder's record.
func (f *snapshotFolder) read() (*index.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.record == nil {
		r, err := f.of.catalog.ReadDir(f.entry.Child)
		if err != nil {
			return nil, err
		}
		f.record = r
	}
	return f.record, nil
}

// Look describes entries. The names are mostly neighbours, so that a single pass over a part of the record finds them.
func (f *snapshotFolder) Look(names []fsat.DirEntry, list []Stat) {
	r, err := f.read()
	if err != nil {
		for i := range list {
			list[i] = Stat{Err: err}
		}
		return
	}
	entries := make([]index.Entry, len(names))
	at, _ := slices.BinarySearchFunc(f.list, names[0].Name, func(e fsat.DirEntry, name string) int {
		return strings.Compare(e.Name, name)
	})
	cursor := r.CursorAt(at)
	more := cursor.Next(&entries[0])
	for i := range names {
		e := &entries[i]
		for more && e.Name < names[i].Name {
			more = cursor.Next(e)
		}
		if !more || e.Name != names[i].Name {
			list[i] = Stat{Err: errNoEntry}
			if i+1 < len(names) {
				entries[i+1] = *e
			}
			continue
		}
		if err := f.describe(e, &list[i]); err != nil {
			list[i] = Stat{Err: err}
		}
		if i+1 < len(names) {
			more = cursor.Next(&entries[i+1])
		}
	}
}

// Open opens a folder directly below.
func (f *snapshotFolder) Open(name string) (Folder, error) {
	e, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return &snapshotFolder{of: f.of, parent: f, entry: e, carriage: f.carriage, fd: fsat.NoDir}, nil
}

func (f *snapshotFolder) find(name string) (index.Entry, error) {
	r, err := f.read()
	if err != nil {
		return index.Entry{}, err
	}
	e, ok := r.Find(name)
	if !ok {
		return e, errNoEntry
	}
	return e, nil
}

// Metadata returns the metadata in the catalog.
func (f *snapshotFolder) Metadata(name string, st *Stat) (m Metadata) {
	if name == "" {
		return f.of.metadata(&f.entry)
	}
	e, err := f.find(name)
	if err != nil {
		return Metadata{Err: err, TargetErr: err}
	}
	return f.of.metadata(&e)
}

// LeaveOut leaves nothing out of a copy: the filters of the snapshot's run have been applied already.
func (f *snapshotFolder) LeaveOut(name string, st *Stat) (Reason, error) {
	if f.carriage == nil {
		return Reason{}, nil
	}
	return f.carriage.leaveOut(f, name, st)
}

// Close releases the record and the archive's folder.
func (f *snapshotFolder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := fsat.Close(f.fd)
	f.fd, f.record = fsat.NoDir, nil
	return err
}

// Reopen does nothing: the folder opens again by itself when needed.
func (f *snapshotFolder) Reopen(string, Folder) error { return nil }

func (f *snapshotFolder) path() string {
	if f.parent == nil {
		return f.carriage.at()
	}
	return path.Join(f.parent.path(), f.entry.Name)
}

// OpenFile describes a file, and opens its stored file. If that fails, only the methods that need the content return
// the error: the target may have the content.
func (f *snapshotFolder) OpenFile(name string, st *Stat) (File, error) {
	e, err := f.find(name)
	if err != nil {
		return nil, err
	}
	file := &snapshotFile{in: f, entry: e, contentFile: contentFile{fd: fsat.NoDir}}
	if e.Type == index.File {
		file.lost = f.openStored(&file.contentFile, name)
	}
	return file, file.Stat(st)
}

func (f *snapshotFolder) openStored(file *contentFile, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.openFolder()
	if err == nil {
		file.fd, err = fsat.OpenFile(f.fd, name)
	}
	if err == nil {
		err = fsat.StatHandle(file.fd, &file.self)
	}
	if err == nil && file.self.Type != fsat.Regular {
		err = fmt.Errorf("it is a %s", tree.TypeOf(file.self.Type))
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, file.Close())
	file.fd = fsat.NoDir
	// Not wrapped: a wrapped error would be taken for a statement about the entry.
	return fmt.Errorf("open its stored file: %v", err)
}

// openFolder opens the archive's folder. The caller has the lock.
func (f *snapshotFolder) openFolder() (err error) {
	if f.fd < 0 {
		f.fd, err = fsat.OpenPath(f.of.root, f.path())
	}
	return err
}

// snapshotFile is a file of a Snapshot: the content of a stored file with the metadata of the catalog.
type snapshotFile struct {
	contentFile
	in    *snapshotFolder
	entry index.Entry
	lost  error // why there is no content
}

func (f *snapshotFile) Stat(st *Stat) error { return f.in.describe(&f.entry, st) }

func (f *snapshotFile) Metadata() Metadata { return f.in.of.metadata(&f.entry) }

func (f *snapshotFile) Read(buf []byte, size int64) (int, error) {
	if f.lost != nil {
		return 0, f.lost
	}
	return f.contentFile.Read(buf, size)
}

func (f *snapshotFile) CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error) {
	if f.lost != nil {
		return 0, [32]byte{}, f.lost
	}
	return f.contentFile.CopyTo(ctx, c, dst, size, sparse)
}
