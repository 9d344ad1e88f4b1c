// Package tarball writes a published snapshot, or some paths in it, as a tar archive in the POSIX pax format: [Write].
//
// Metadata come from the catalog, contents from the stored files. No byte of a file is written before its content is
// known to have the catalog's hash, so that no complete archive contains damaged content: a damaged entry, and an
// entry that tar cannot express, is left out and listed in the [Report], and all others are written. Hard links stay
// links, holes stay holes.
//
// The snapshot is only read, folder by folder through folder handles, in the order of the catalog. After an error the
// stream ends in such a way that every reader notices.
//
// Memory grows with the depth of the tree, with the largest folder, and with the number of inodes of which several
// names are wanted and only some came so far.
package tarball

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lookup"
	"snapcopy/internal/outcome"
	"snapcopy/internal/pax"
	"snapcopy/internal/tree"
)

// Options are the options of Write. The zero value is a good default.
type Options struct {
	Zstd bool // compress the archive
	// Exclude leaves out the entries that it matches. nil: none.
	Exclude  *exclude.Matcher
	Progress *outcome.RestoreProgress // nil: nobody is watching
	// Item, if set, is called with the outcome of each entry.
	Item func(outcome.Item)
	// Fault, if set, is called with "read again" before a file is read a second time; its error replaces that read.
	// For tests.
	Fault func(step string) error
}

// Report describes the contents of a tar archive.
type Report struct {
	Snapshot string

	Files        uint64 // entries in it that are not folders
	Dirs         uint64 // folders, without the root of the snapshot
	Linked       uint64 // of Files: further names of one before
	Excluded     uint64 // names left out
	BytesContent uint64 // of files, holes not counted
	BytesArchive uint64 // length of the archive before compression

	// XattrsCatalogOnly counts entries without their extended attributes, which exceed the size that readers accept.
	XattrsCatalogOnly uint64
	// HolesCatalogOnly counts files with so many ranges of data that the smallest holes between them became zeros.
	HolesCatalogOnly uint64

	// FailedCount is the number of entries left out: each item of Failed counts with all entries below it.
	FailedCount uint64
	// Damaged is the number of those that are damaged in the archive: their error wraps [tree.ErrDamaged].
	Damaged uint64
	// NotInTar is the number of those that tar cannot express: their error wraps ErrNotInTar.
	NotInTar uint64
	// Failed has the first 1000, sorted by path.
	Failed []outcome.Failure
}

// ErrNotInTar reports an entry that tar cannot express, such as a socket.
var ErrNotInTar = pax.ErrNoPlace

// run is the state of one Write.
type run struct {
	ctx    context.Context
	from   archive.OpenSnapshot
	opt    Options
	report *Report
	out    *pax.Writer

	selected []lookup.Selected // nil: the whole snapshot
	snapshot int               // handle of the snapshot's folder
	top      dir
	dirs     tree.Walk
	groups   tree.Links[tree.GroupKey, group]
	late     int // names kept in groups
	copier   filecopy.Copier
	small    bytes.Buffer // content of a file, kept in memory until its hash is checked
	xattrs   tree.XattrCache
	failures outcome.Failures
}

// Write writes a published snapshot to w as a tar archive in the POSIX pax format, in the order of the catalog: a
// folder before its entries. Without paths the archive contains the root itself, as ".", and the whole tree; otherwise
// each path under its last element's name, with everything below it.
//
// A file larger than a buffer is read twice, since its hash must be checked before the first byte is written. An entry
// that is damaged, or that tar cannot express, is left out and listed in the report.
//
// Write fails if ctx ends, if w fails, or if a stored file changes between its two reads. After an error the archive
// is incomplete, and ends in such a way that every reader notices. The report describes the part written.
//
// An inode of which several names are wanted takes about 100 bytes and a path until all of them came.
func Write(ctx context.Context, from archive.OpenSnapshot, paths []string, w io.Writer, opt Options) (_ *Report, err error) {
	if opt.Progress == nil {
		opt.Progress = new(outcome.RestoreProgress)
	}
	if opt.Exclude == nil {
		opt.Exclude = exclude.New()
	}
	t := &run{ctx: ctx, from: from, opt: opt}
	t.report = &Report{Snapshot: from.Catalog.Summary().Snapshot}
	if t.selected, err = lookup.Select(from.Catalog, paths, false); err != nil {
		return nil, err
	}
	t.groups.Partial = t.selected != nil || !opt.Exclude.Empty()
	opt.Progress.Expect(lookup.TotalsOf(from.Catalog, t.selected))
	if t.snapshot, err = fsat.OpenRoot(from.Dir); err != nil {
		return nil, &fs.PathError{Op: "open snapshot", Path: from.Dir, Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(t.snapshot)) }()

	err = t.compressed(w, t.archive)
	t.report.Failed, t.report.FailedCount, t.report.Damaged = t.failures.Sorted()
	return t.report, err
}

// compressed gives write a stream to w. After an error of write, a compressed stream has no proper end either.
func (t *run) compressed(w io.Writer, write func(io.Writer) error) error {
	if !t.opt.Zstd {
		return write(w)
	}
	// A window of the default size keeps memory low, and every reader accepts it.
	z, err := zstd.NewWriter(w, zstd.WithWindowSize(2<<20), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := write(z); err != nil {
		return withAlso(err, z.Flush())
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

// archiveBuffer is the size of the buffer that collects headers and small files.
const archiveBuffer = 256 << 10

// archive writes the tar archive.
func (t *run) archive(w io.Writer) (err error) {
	buffer := bufio.NewWriterSize(w, archiveBuffer)
	t.out = pax.NewWriter(buffer)
	t.copier.Buf = make([]byte, filecopy.BufferSize)
	defer func() { t.report.BytesArchive = uint64(t.out.Written()) }()
	if err = t.members(); err == nil {
		err = withAlso(nil, t.out.Close())
	} else {
		err = withAlso(err, t.out.Abort())
	}
	return withAlso(err, buffer.Flush())
}

// withAlso joins an error of the stream to err, unless err wraps it already.
func withAlso(err, stream error) error {
	if stream == nil || errors.Is(err, stream) {
		return err
	}
	return errors.Join(err, fmt.Errorf("write archive: %w", stream))
}

// members writes the snapshot or the selected paths.
func (t *run) members() (err error) {
	if err := t.start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.dirs.CloseAll()) }()
	if t.selected == nil {
		err = t.whole()
	}
	for i := range t.selected {
		if err = t.selection(&t.selected[i]); err != nil {
			break
		}
	}
	t.endGroups()
	return err
}

// add counts an entry written to the archive.
func (t *run) add(d *dir, e *index.Entry, what outcome.Action) {
	if e.Type == index.Dir {
		t.report.Dirs++
	} else {
		t.report.Files++
	}
	if what == outcome.Linked {
		t.report.Linked++
	}
	if t.opt.Item != nil {
		t.opt.Item(outcome.Item{Path: d.Child(e.Name), Action: what, Type: e.Type, Size: e.Size})
	}
}

// failed handles an entry that was not written: it returns a cause that ends the run, and lists the entry otherwise.
func (t *run) failed(d *dir, e *index.Entry, err error) error {
	var write *filecopy.WriteError
	switch {
	case t.ctx.Err() != nil:
		return context.Cause(t.ctx)
	case errors.As(err, &write):
		return fmt.Errorf("write archive: %w", write.Err)
	case errors.Is(err, errUnsteady):
		return fmt.Errorf("%q: %w", d.Child(e.Name), err)
	}
	t.list(d, e, err)
	return nil
}

// list records an entry as left out.
func (t *run) list(d *dir, e *index.Entry, err error) {
	item := outcome.FailureOf(d.Child(e.Name), e, err)
	t.failures.Add(item)
	if errors.Is(err, ErrNotInTar) {
		t.report.NotInTar += item.Entries()
	}
	if t.opt.Item != nil {
		t.opt.Item(outcome.Item{Path: item.Path, Action: outcome.Failed, Type: e.Type, Size: e.Size, Err: item.Err})
	}
}
