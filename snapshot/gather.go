package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/journal"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
	"snapcopy/internal/workers"
)

// treeDir is the mirror in the folder of an unfinished run.
const treeDir = "tree"

// gatherer collects the stored files of an interrupted run, and makes a new journal of their records. Each step can be
// repeated: the old journal is replaced when all is done.
type gatherer struct {
	u      *unfinished
	run    *run
	header *journal.Header

	old     *os.File
	latest  *journal.Table // of the old journal
	proven  int64          // position in it
	trees   folders.Cache[string]
	copier  filecopy.Copier
	out     *journal.Writer
	builder *journal.Builder
	dropped uint64 // files that differ from their records
	moved   bool   // another object was in the place of the folder of kept files
	scarce  bool   // there is little space: only files that the source still has stay
}

// gather returns sentences about what it did. Without any usable work it leaves an empty folder.
func (g *gatherer) gather() (did []string, err error) {
	defer func() { err = errors.Join(err, g.close()) }()
	usable, why, err := g.open()
	if err != nil {
		return nil, err
	}
	if usable {
		if err := g.collect(); err != nil {
			return nil, err
		}
	}
	if err := g.dropRest(usable); err != nil {
		return nil, err
	}
	if why != "" {
		did = append(did, why)
	}
	if g.moved {
		did = append(did, noFolder(g.u.path+"/"+archive.KeptDir))
	}
	if !usable || g.u.left.Files+g.u.left.Partial == 0 {
		return did, nil
	}
	found := &g.u.left
	did = append(did, fmt.Sprintf("went on with the unfinished run that began at %s, which had stored %s",
		found.Began.Local().Format(time.DateTime), files(found.Files+found.Partial)))
	if g.dropped > 0 {
		did = append(did, fmt.Sprintf("dropped %s of the unfinished run, because of differences from its journal", files(g.dropped)))
	}
	return did, nil
}

// noFolder is the sentence about an object that was in the place of a folder.
func noFolder(path string) string { return "removed " + path + ", which was not a folder" }

func files(n uint64) string {
	if n == 1 {
		return "1 file"
	}
	return humanize.Comma(int64(n)) + " files"
}

func (g *gatherer) close() error {
	errs := []error{g.trees.Close(), g.latest.Close()}
	if g.builder != nil {
		errs = append(errs, g.builder.Close())
	}
	if g.old != nil {
		errs = append(errs, g.old.Close())
	}
	return errors.Join(errs...)
}

// open opens the old journal. why says why there is one that cannot be used.
func (g *gatherer) open() (usable bool, why string, err error) {
	g.old, err = plainfile.Open(g.u.path + "/" + archive.JournalFile)
	const removed = "removed what an unfinished run had stored: "
	var kind *plainfile.KindError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		g.old = nil
		return false, "", nil
	case errors.As(err, &kind):
		g.old = nil
		return false, removed + "its journal was " + kind.Is, nil
	case err != nil:
		return false, "", err
	}
	r, err := journal.NewReader(g.old)
	switch {
	case errors.Is(err, journal.ErrNoHeader): // the run died before it had stored anything
		return false, "", nil
	case errors.Is(err, journal.ErrForeign):
		return false, removed + "its journal is damaged or of another version", nil
	case err != nil:
		return false, "", err
	case !r.Header.Matches(g.header):
		return false, removed + "its journal is of another archive, or the archive was copied since", nil
	}
	g.header.Began = r.Header.Began
	if g.proven, err = r.Proven(); err != nil {
		return false, "", err
	}
	if g.u.fsyncs {
		g.proven = 0
	}
	return true, "", nil
}

// collect moves the recorded files into the folder of kept ones, and writes the new journal.
func (g *gatherer) collect() (err error) {
	u := g.u
	g.copier.Buf = make([]byte, copyBuffer)
	g.trees.Open = g.openTree
	if g.scarce, err = isScarce(g.run.archive); err != nil {
		return err
	}
	if u.kept, g.moved, err = g.run.locked.OpenInWork(u.dir, archive.KeptDir); err != nil {
		return &fs.PathError{Op: "open", Path: u.path + "/" + archive.KeptDir, Err: err}
	}
	if err := g.findLatest(); err != nil {
		return err
	}
	if err := g.remove(archive.NewJournal); err != nil {
		return err
	}
	if u.file, err = u.create(archive.NewJournal); err != nil {
		return err
	}
	if g.out, err = journal.Create(u.file, g.header); err != nil {
		return errors.Join(err, u.file.Close())
	}
	if err := g.rewrite(); err != nil {
		return errors.Join(err, g.out.Close())
	}
	u.journal, u.left.Began = g.out, g.header.Began
	u.table, err = g.builder.Table()
	return err
}

// findLatest makes a table of the old journal, by which a record is known to be the last one of its path.
func (g *gatherer) findLatest() (err error) {
	b := journal.NewBuilder(g.u.path)
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := g.eachRecord(func(at int64, rec *journal.Record) error { b.Add(rec, at); return nil }); err != nil {
		return err
	}
	g.latest, err = b.Table()
	return err
}

func (g *gatherer) eachRecord(do func(at int64, rec *journal.Record) error) error {
	r, err := journal.NewReader(g.old)
	for err == nil {
		var at int64
		var rec *journal.Record
		if at, rec, err = r.Next(); err == nil {
			if g.u.ctx.Err() != nil {
				return &fatalError{context.Cause(g.u.ctx)}
			}
			err = do(at, rec)
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// rewrite makes the new journal of those records whose files are as recorded, and puts it into the place of the old one.
func (g *gatherer) rewrite() error {
	g.builder = journal.NewBuilder(g.u.path)
	if err := g.eachRecord(g.keep); err != nil {
		return err
	}
	if err := g.prove(); err != nil {
		return err
	}
	if err := fsat.Rename(g.u.dir, archive.NewJournal, g.u.dir, archive.JournalFile); err != nil {
		return err
	}
	return fsat.Sync(g.u.dir)
}

// prove makes durable what was not proven and is as recorded, so that no later run has to read it once more.
func (g *gatherer) prove() error {
	if g.u.fsyncs {
		return g.out.Sync()
	}
	position, err := g.out.Position()
	if err != nil {
		return err
	}
	fd, err := fsat.OpenDir(g.u.dir, ".") // its own: it may be in use for longer than this run
	if err != nil {
		return err
	}
	if err := workers.UntilDone(g.u.ctx, func() error { return errors.Join(fsat.SyncFS(fd), fsat.Close(fd)) }); err != nil {
		return err
	}
	return g.out.Checkpoint(position)
}

// keep keeps the file of one record, if it is the last record of its path and the file is as recorded.
func (g *gatherer) keep(at int64, rec *journal.Record) error {
	last, ok, err := g.latest.FindPath(rec.Dir, rec.Entry.Name)
	if err != nil {
		return err
	}
	if ok && last != at {
		return g.outdated(rec, last)
	}
	st, there, err := g.settle(rec)
	if err != nil {
		return err
	}
	if there && g.scarce && !g.sourceHas(rec) {
		return g.drop(rec)
	}
	if there {
		there, err = g.isAsRecorded(rec, &st, at < g.proven)
	}
	if err != nil {
		return err
	}
	if !there {
		g.dropped++
		return g.drop(rec)
	}
	rec.Entry.Blocks = uint64(st.Blocks)
	to, err := g.out.Add(rec)
	if err != nil {
		return err
	}
	g.builder.Add(rec, to)
	g.u.left.Add(rec)
	return nil
}

// sourceHas reports whether the source still has the recorded version under the recorded name.
func (g *gatherer) sourceHas(rec *journal.Record) bool {
	var st source.Stat
	err := g.run.source.Find(rec.Dir, rec.Entry.Name, &st)
	return err == nil && g.run.previous.unchanged(&rec.Entry, &st)
}

// outdated drops the file of a record, unless the later record is of the same file.
func (g *gatherer) outdated(rec *journal.Record, last int64) error {
	later, err := journal.ReadAt(g.old, last)
	if err == nil && later.Entry.Stored == rec.Entry.Stored {
		return nil
	}
	return g.drop(rec)
}

func (g *gatherer) drop(rec *journal.Record) error {
	err := fsat.Unlink(g.u.kept, keptName(rec.Entry.Stored))
	if fsat.IsGone(err) {
		return nil
	}
	return err
}

// settle gives the file of a record its name among the kept ones, as its only name here. A file that was kept before has
// a further one in the mirror if the last run has used it.
func (g *gatherer) settle(rec *journal.Record) (st fsat.Stat, there bool, err error) {
	e, name := &rec.Entry, keptName(rec.Entry.Stored)
	err = g.trees.In(rec.Dir, func(fd int) error {
		if err := fsat.StatAt(fd, e.Name, &st); err != nil {
			return err
		}
		if st.Ino != e.Stored || st.Type != fsat.Regular {
			return nil
		}
		if err := fsat.Rename(fd, e.Name, g.u.kept, name); err != nil {
			return err
		}
		if err := fsat.Unlink(fd, e.Name); err != nil && !fsat.IsGone(err) { // it had both names
			return err
		}
		return nil
	})
	if err != nil && !fsat.IsNoDir(err) {
		return st, false, err
	}
	err = fsat.StatAt(g.u.kept, name, &st)
	if fsat.IsGone(err) {
		return st, false, nil
	}
	return st, err == nil && st.Ino == e.Stored && st.Type == fsat.Regular, err
}

// openTree opens a folder of the old mirror, for moving files out of it. The mode of a finished folder may deny that.
func (g *gatherer) openTree(path string) (int, error) {
	fd, err := openUnlocked(g.u.dir, treeDir)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil || name == "" {
			break
		}
		var below int
		below, err = openUnlocked(fd, name)
		if err = errors.Join(err, fsat.Close(fd)); err != nil {
			return fsat.NoDir, err
		}
		fd = below
	}
	return fd, err
}

// openUnlocked opens a folder that this user has made, and gives him access to it.
func openUnlocked(dir int, name string) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	var st fsat.Stat
	if errors.Is(err, fs.ErrPermission) && fsat.StatAt(dir, name, &st) == nil && st.Type == fsat.Directory {
		if err := fsat.ChmodAt(dir, name, 0o700); err != nil {
			return fsat.NoDir, err
		}
		fd, err = fsat.OpenDir(dir, name)
	}
	if err != nil {
		return fsat.NoDir, err
	}
	if err = fsat.StatHandle(fd, &st); err == nil && st.Mode&0o700 != 0o700 {
		if err = fsat.Chmod(fd, st.Mode|0o700); fsat.IsRefused(err) { // moving a file will tell
			err = nil
		}
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

// isAsRecorded compares a kept file with its record: its stat data, and, unless it is proven, all the rest. The marks of
// a partial copy prove themselves when the copy goes on.
func (g *gatherer) isAsRecorded(rec *journal.Record, st *fsat.Stat, proven bool) (bool, error) {
	if rec.Partial() {
		return st.Nlink == 1, nil
	}
	if tree.DiffStored(&rec.Entry, st) != 0 {
		return false, nil
	}
	if proven {
		return true, nil
	}
	return g.hasContent(rec, st)
}

// hasContent reads a kept file, and compares its content and extended attributes with the record.
func (g *gatherer) hasContent(rec *journal.Record, st *fsat.Stat) (ok bool, err error) {
	e, name := &rec.Entry, keptName(rec.Entry.Stored)
	fd, err := fsat.OpenFile(g.u.kept, name)
	if err != nil { // without access its content is unknown
		return false, nil
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	n, hash, err := g.copier.Copy(g.u.ctx, filecopy.NoFile, fd, st.Size, true)
	if g.u.ctx.Err() != nil {
		return false, &fatalError{context.Cause(g.u.ctx)}
	}
	if err != nil || uint64(n) != e.Size || hash != e.Hash || g.copier.ZeroHash != (e.Flags&index.ZeroHash != 0) {
		return false, nil
	}
	if e.Flags&index.XattrsCatalogOnly != 0 {
		return true, nil
	}
	have, err := fsat.Xattrs(fd)
	if err != nil {
		return len(rec.Xattrs) == 0 && fsat.IsRefused(err), nil
	}
	return tree.XattrDifference(have, rec.Xattrs, os.Geteuid() == 0) == "", nil
}

// dropRest moves everything else in the folder of the unfinished run into the trash. What a run cannot use goes whole.
func (g *gatherer) dropRest(usable bool) error {
	list, err := fsat.ReadDir(g.u.dir, make([]byte, listBuffer))
	if err != nil {
		return err
	}
	for _, e := range list {
		if usable && (e.Name == archive.JournalFile || e.Name == archive.KeptDir) {
			continue
		}
		if err := g.remove(e.Name); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a name in the folder of the unfinished run, or moves a folder of that name into the trash. A missing name
// is no error.
func (g *gatherer) remove(name string) error {
	err := fsat.Unlink(g.u.dir, name)
	if err != nil && !fsat.IsGone(err) {
		err = g.run.locked.TrashWork(g.u.dir, name)
	}
	if err != nil && !fsat.IsGone(err) {
		return &fs.PathError{Op: "remove", Path: g.u.path + "/" + name, Err: err}
	}
	return nil
}
