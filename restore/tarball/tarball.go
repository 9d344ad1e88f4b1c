// Package tarball writes a published snapshot, or some paths in it, as a tar archive in the POSIX pax format: [Write].
//
// Metadata come from the catalog, contents from the stored files. No byte of a file is written before its content is known
// to have the catalog's hash, so that no archive that comes to its end holds damaged content: a damaged entry, and one for
// which tar has no form, is left out and listed in the [Report], and everything else is written. Hard links stay links,
// holes stay holes.
//
// The snapshot is only read, folder by folder through directory handles, in the order of the catalog. After an error the
// stream ends in such a way that whoever reads it notices.
//
// Memory grows with the depth of the tree, with the largest folder, and with the number of inodes of which several names
// are wanted and only some came so far.
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
	"snapcopy/internal/pax"
	"snapcopy/internal/tree"
)

// Options are the choices for one archive. The zero value is good.
type Options struct {
	Zstd bool // compress the archive
	// Exclude leaves out what it matches. nil: nothing.
	Exclude  *exclude.Matcher
	Progress *tree.Progress // nil: nobody is watching
	// Item, if set, is told what became of each entry.
	Item func(tree.Item)
	// Fault, if set, is asked before a file is read again, with "read again"; an error it returns takes the place of
	// that. For tests.
	Fault func(step string) error
}

// Report is what a tar archive holds.
type Report struct {
	Snapshot string

	Files        uint64 // entries in it that are not directories
	Dirs         uint64 // directories, without the root of the snapshot
	Linked       uint64 // of Files: further names of one before
	Excluded     uint64 // names left out
	BytesContent uint64 // of files, holes not counted
	BytesArchive uint64 // length of the archive before it is compressed

	// XattrsNotHeld counts entries without their extended attributes, of which there are more than a reader accepts.
	XattrsNotHeld uint64
	// HolesNotHeld counts files in such small pieces that the smallest holes between them became zeros.
	HolesNotHeld uint64

	// FailedCount is the number of entries left out: each item of Failed counts with what is below it.
	FailedCount uint64
	// Damaged is how many of them the archive is to blame for: their error wraps [tree.ErrDamaged].
	Damaged uint64
	// NotInTar is how many of them have no form in a tar archive: their error wraps ErrNotInTar.
	NotInTar uint64
	// Failed names the first 1000, sorted by path.
	Failed []tree.FailedItem
}

// ErrNotInTar says that a tar archive has no form for an entry, as for a socket.
var ErrNotInTar = pax.ErrCannotHold

// run is one archive under way.
type run struct {
	ctx    context.Context
	from   archive.Source
	opt    Options
	report *Report
	out    *pax.Writer

	selected []tree.Selection // nil: the whole snapshot
	snapshot int              // handle of the snapshot's folder
	top      dir
	dirs     tree.Walk
	groups   map[tree.GroupKey]*group
	late     int // names kept in groups
	copier   filecopy.Copier
	small    bytes.Buffer // content of a file that is held in memory until it is known to be right
	xattrs   tree.XattrCache
	failures tree.Failures
}

// Write writes a published snapshot to w as a tar archive in the POSIX pax format, in the order of the catalog: a
// directory before what is in it. Without paths the archive holds the root itself, as ".", and all of it; otherwise
// each path under its last element's name, with everything below it.
//
// A file that is larger than a buffer is read twice, since its content has to be known before the first byte is written.
// An entry that is damaged, or that a tar archive cannot hold, is left out and listed in the report.
//
// After an error the archive is incomplete, and in such a way that who reads it notices. Errors are the end of ctx, an
// error of w, and a stored file that was another one when it was read again. The report says what is in the archive.
//
// Each inode of which several names are wanted, and only some came so far, takes about 100 bytes and a path.
func Write(ctx context.Context, from archive.Source, paths []string, w io.Writer, opt Options) (_ *Report, err error) {
	if opt.Progress == nil {
		opt.Progress = new(tree.Progress)
	}
	if opt.Exclude == nil {
		opt.Exclude = exclude.New()
	}
	t := &run{ctx: ctx, from: from, opt: opt, groups: make(map[tree.GroupKey]*group)}
	t.report = &Report{Snapshot: from.Catalog.Summary().Snapshot}
	if t.selected, err = tree.Select(from.Catalog, paths, false); err != nil {
		return nil, err
	}
	opt.Progress.Expect(tree.TotalsOf(from.Catalog, t.selected))
	if t.snapshot, err = fsat.OpenRoot(from.Dir); err != nil {
		return nil, &fs.PathError{Op: "open snapshot", Path: from.Dir, Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(t.snapshot)) }()

	err = t.compressed(w, t.archive)
	t.report.Failed, t.report.FailedCount, t.report.Damaged = t.failures.Sorted()
	return t.report, err
}

// compressed gives write a stream to w. After an error of write a compressed stream is left without its end, too.
func (t *run) compressed(w io.Writer, write func(io.Writer) error) error {
	if !t.opt.Zstd {
		return write(w)
	}
	// A window as large as that of zstd's own default keeps memory low, and every reader accepts it.
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

// archiveBuffer collects headers and small files.
const archiveBuffer = 256 << 10

// archive writes the archive itself.
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

// withAlso joins an error of the stream to err, unless err is about it already.
func withAlso(err, stream error) error {
	if stream == nil || errors.Is(err, stream) {
		return err
	}
	return errors.Join(err, fmt.Errorf("write archive: %w", stream))
}

// members writes everything that was asked for.
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

// add counts an entry that is in the archive.
func (t *run) add(d *dir, e *index.Entry, what tree.Action) {
	if e.Type == index.Dir {
		t.report.Dirs++
	} else {
		t.report.Files++
	}
	if what == tree.Linked {
		t.report.Linked++
	}
	if t.opt.Item != nil {
		t.opt.Item(tree.Item{Path: d.Child(e.Name), Action: what, Type: e.Type, Size: e.Size})
	}
}

// failed settles an entry that is not in the archive: it is listed, unless the cause ends the run.
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

// list puts an entry on the list of those that are not in the archive.
func (t *run) list(d *dir, e *index.Entry, err error) {
	item := tree.FailedEntry(d.Child(e.Name), e, err)
	t.failures.Add(item)
	if errors.Is(err, ErrNotInTar) {
		t.report.NotInTar += item.Entries()
	}
	if t.opt.Item != nil {
		t.opt.Item(tree.Item{Path: item.Path, Action: tree.Failed, Type: e.Type, Size: e.Size, Err: item.Err})
	}
}
