package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// Suspect is a name that was found damaged.
type Suspect struct {
	Snapshot string
	Path     string // "": the snapshot's own folder
	// Links says that it shares its stored file with too many or too few names of its snapshot.
	Links bool
}

// Options are the options of Run.
type Options struct {
	Suspects []Suspect
	// Verified names the snapshots in which all damage is among the suspects. Of other snapshots the names of damaged
	// stored files are looked at.
	Verified []string
	Catalogs []string // snapshots whose catalog is lost or damaged: it is made anew
	Index    bool     // the content-hash index is damaged: it is made anew
	Latest   bool     // "latest" points nowhere: it gets the newest snapshot
	Note     bool     // the note of an unfinished repair is unreadable: it is removed
	From     []*archive.Archive
	// Source is the folder in which to look for lost content; "": the source of the snapshot, if it was on this host.
	Source string
	DryRun bool // find out what could be repaired; change nothing
	// Tell, if set, is called for each item, in an order without meaning.
	Tell     func(*Item) error
	Progress *archive.Progress
	Now      func() time.Time
	Fault    func(step string) error
}

// Found adds a damage that package verify has found to what is to be repaired. It returns false for damage of other kinds,
// which takes a person, and for what is no damage.
func (o *Options) Found(snapshot, path string, err error) bool {
	switch {
	case !errors.Is(err, index.ErrDamagedData), errors.Is(err, archive.ErrNoFolder):
		return false
	case errors.Is(err, tree.ErrDamaged):
		links := errors.Is(err, tree.ErrShared) || errors.Is(err, tree.ErrParted)
		o.Suspects = append(o.Suspects, Suspect{Snapshot: snapshot, Path: path, Links: links})
	case snapshot != "" && (errors.Is(err, archive.ErrNoCatalog) || errors.Is(err, index.ErrDamagedData)):
		if !slices.Contains(o.Catalogs, snapshot) {
			o.Catalogs = append(o.Catalogs, snapshot)
		}
	case errors.Is(err, archive.ErrIndex):
		o.Index = true
	case errors.Is(err, archive.ErrLatest):
		o.Latest = true
	case errors.Is(err, archive.ErrRepairNote):
		o.Note = true
	default:
		return false
	}
	return true
}

// Name is a name in a snapshot.
type Name struct{ Snapshot, Path string }

// OriginKind says where the content of a repaired entry comes from.
type OriginKind string

// The kinds of origin.
const (
	FromItself  OriginKind = "itself"      // its content is sound
	FromStored  OriginKind = "stored file" // another one of the archive
	FromArchive OriginKind = "archive"     // another archive
	FromSource  OriginKind = "source"
	FromCatalog OriginKind = "catalog" // the entry has no content besides what its catalog has
	FromFolder  OriginKind = "folder"  // a catalog, made anew from the snapshot's folder
	FromCopy    OriginKind = "copy"    // a catalog, from a copy of the archive
)

// Origin is the place that the content comes from.
type Origin struct {
	Kind     OriginKind
	Archive  string // FromArchive, FromCopy
	Snapshot string // "" for FromSource and FromCatalog
	Path     string // in the snapshot; FromSource: in the file system
}

// Item is one damaged entry with all the names that it has in snapshots, or a damaged catalog, index or note, or an extra name.
type Item struct {
	What  ItemKind
	Names []Name
	Found string // what is wrong
	// Origin says where the right content comes from; nil if the item cannot be repaired.
	Origin *Origin
	// Err is the reason why the item is not repaired; nil: it is, or would be.
	Err error
	// Nearest is the nearest other version of the entry's path that is sound, if the item cannot be repaired.
	Nearest *Name
}

// ItemKind says what an item is.
type ItemKind string

// The kinds of item.
const (
	OfEntry   ItemKind = "entry"
	OfExtra   ItemKind = "extra" // a name that the catalog does not contain: it is moved to archive.ExtraDir
	OfCatalog ItemKind = "catalog"
	OfIndex   ItemKind = "index"
	OfLatest  ItemKind = "latest"
	OfNote    ItemKind = "note" // of an unfinished repair, whose names were looked at again
)

// Reasons why an item is not repaired.
var (
	// ErrNoContent reports that no sound content was found.
	ErrNoContent = errors.New("content with the recorded hash was found nowhere")
	// ErrInUse reports that a reader needs the snapshot.
	ErrInUse = errors.New("the snapshot is in use")
	// ErrCannotMake reports a special file that this user, or the archive's file system, cannot make.
	ErrCannotMake = errors.New("it cannot be made")
	// ErrMissed reports a name that did not get its new inode.
	ErrMissed = errors.New("its new stored file was removed or replaced before it took the name; repeat the repair")
	// ErrNoRoom reports that the archive's file system is full.
	ErrNoRoom = errors.New("no space is left for its new inode")
)

// Report has the figures of a Run, in names of entries.
type Report struct {
	DryRun     bool
	Sound      uint64 // suspects that nothing is wrong with
	Repaired   uint64 // or would be
	Unrepaired uint64
	Snapshots  []string // changed, or would be
	Bytes      uint64   // of new content
	// NoRoom is the number of names, among those not repaired, that lack space alone; NoRoomErr is the first error. Another
	// repair goes on with them when there is room.
	NoRoom      uint64
	NoRoomErr   error
	NoRoomBytes uint64   // of new content that these names need
	Recovered   []string // sentences about interrupted commands that were finished first
	// Unexamined is the number of snapshots that were not looked at: in a dry run because their catalogs are lost or damaged,
	// otherwise because their catalogs could not be read when damage was looked for, and can be read now.
	Unexamined uint64
}

// Add adds the figures of a later part of the same repair.
func (r *Report) Add(later *Report) {
	r.Sound += later.Sound
	r.Repaired += later.Repaired
	r.Unrepaired += later.Unrepaired
	r.Bytes += later.Bytes
	r.Unexamined += later.Unexamined
	r.lack(later.NoRoom, later.NoRoomErr)
	r.NoRoomBytes += later.NoRoomBytes
	r.Recovered = append(r.Recovered, later.Recovered...)
	r.Snapshots = slices.Compact(slices.Sorted(slices.Values(append(r.Snapshots, later.Snapshots...))))
}

// lack counts names that are not repaired for lack of space.
func (r *Report) lack(names uint64, err error) {
	r.NoRoom += names
	if r.NoRoomErr == nil {
		r.NoRoomErr = err
	}
}

// Run repairs an archive. An error means that the repair could not be carried out; the report then covers the part done
// so far. A Run that is interrupted leaves each name with its old or its new inode; the next command that takes the lock
// goes on with it, and another Run with the rest.
func Run(ctx context.Context, a *archive.Archive, opt Options) (report *Report, err error) {
	return run(ctx, a, opt, (*repairer).all)
}

// run does one part of a repair, with the lock unless it is a dry run.
func run(ctx context.Context, a *archive.Archive, opt Options, part func(*repairer) error) (report *Report, err error) {
	r := &repairer{ctx: ctx, archive: a, opt: opt, report: &Report{DryRun: opt.DryRun}, root: os.Geteuid() == 0,
		used: make(map[string]error), read: make(map[uint64]index.Hash), changed: make(map[string]bool)}
	if opt.Progress == nil {
		r.opt.Progress = new(archive.Progress)
	}
	if opt.Now != nil {
		a.Now = opt.Now
	}
	r.copier = filecopy.Copier{Buf: make([]byte, filecopy.BufferSize)}
	r.copier.Tick = func(n int) { r.opt.Progress.Read.Add(uint64(n)) }
	if !opt.DryRun {
		if r.lock, err = a.Lock(); err != nil {
			return r.report, err
		}
		defer func() { err = errors.Join(err, r.lock.Unlock()) }()
		if r.report.Recovered, err = r.lock.Recover(ctx); err != nil {
			return r.report, err
		}
	}
	if err = fsat.CheckProc(); err == nil {
		err = part(r)
	}
	for name := range r.changed {
		r.report.Snapshots = append(r.report.Snapshots, name)
	}
	slices.Sort(r.report.Snapshots)
	return r.report, err
}

// repairer is the state of one Run.
type repairer struct {
	ctx     context.Context
	archive *archive.Archive
	lock    *archive.Locked // nil in a dry run
	opt     Options
	report  *Report
	root    bool // the user is root
	copier  filecopy.Copier
	used    map[string]error      // by snapshot: whether it is in use
	read    map[uint64]index.Hash // hashes of stored files that were read, by inode; zero: it cannot be read
	changed map[string]bool       // snapshots

	snapshots []archive.Snapshot
	groups    map[groupKey]*group
	folders   []*wound // folders to be made or to get their metadata
	extras    []Name
	lookedFor int // items for which another version was looked for
}

func (r *repairer) all() error {
	again, err := r.putCatalogs()
	if err != nil {
		return err
	}
	r.report.Unexamined += uint64(len(again))
	if r.snapshots, err = r.archive.Snapshots(); err != nil {
		return err
	}
	r.groups = make(map[groupKey]*group)
	if err := r.examineAll(); err != nil {
		return err
	}
	if err := r.search(); err != nil {
		return err
	}
	if err := r.exchangeAll(); err != nil {
		return err
	}
	if r.opt.Latest { // Recover has mended it
		if err := r.forgetDamagedRecords("", archive.ErrLatest); err != nil {
			return err
		}
		item := &Item{What: OfLatest, Found: "it points to no snapshot", Origin: &Origin{Kind: FromCatalog}}
		if err := r.tell(item); err != nil {
			return err
		}
	}
	if err := r.dropNote(); err != nil {
		return err
	}
	return r.rebuildIndex()
}

// dropNote removes an unreadable note of an unfinished repair: the damage that was left has been found again.
func (r *repairer) dropNote() error {
	if !r.opt.Note {
		return nil
	}
	if r.lock != nil {
		if err := r.lock.DropRepairNote(); err != nil {
			return err
		}
	}
	if err := r.forgetDamagedRecords("", archive.ErrRepairNote); err != nil {
		return err
	}
	return r.tell(&Item{What: OfNote, Found: "unreadable", Origin: &Origin{Kind: FromCatalog}})
}

// rebuildIndex makes a damaged content-hash index anew.
func (r *repairer) rebuildIndex() error {
	if !r.opt.Index {
		return nil
	}
	if r.lock != nil {
		if err := r.lock.MakeIndex(r.ctx, r.snapshots); err != nil {
			return fmt.Errorf("content-hash index: %w", err)
		}
	}
	if err := r.forgetDamagedRecords("", archive.ErrIndex); err != nil {
		return err
	}
	return r.tell(&Item{What: OfIndex, Found: "damaged", Origin: &Origin{Kind: FromCatalog}})
}

// forgetDamagedRecords takes what was made anew out of the archive's note of damage, which "status" tells.
func (r *repairer) forgetDamagedRecords(snapshot string, what error) error {
	if r.lock == nil {
		return nil
	}
	return r.lock.ForgetDamagedRecords(r.ctx, snapshot, what)
}

// tell counts an item and passes it on.
func (r *repairer) tell(item *Item) error {
	n := uint64(max(len(item.Names), 1))
	if item.Err != nil {
		r.report.Unrepaired += n
		if errors.Is(item.Err, ErrNoRoom) {
			r.report.lack(n, item.Err)
		}
	} else {
		r.report.Repaired += n
		for _, name := range item.Names {
			r.changed[name.Snapshot] = true
		}
	}
	if r.opt.Tell == nil {
		return nil
	}
	return r.opt.Tell(item)
}

// inUse returns the error for a snapshot that a reader needs.
func (r *repairer) inUse(name string) (why error, err error) {
	if r.lock == nil {
		return nil, nil
	}
	why, known := r.used[name]
	if known {
		return why, nil
	}
	i := slices.IndexFunc(r.snapshots, func(s archive.Snapshot) bool { return s.Name == name })
	if i < 0 {
		return nil, nil
	}
	skip, err := r.lock.InUse(r.ctx, r.snapshots[i])
	if err != nil {
		return nil, err
	}
	if skip != nil {
		why = ErrInUse
	}
	r.used[name] = why
	return why, nil
}

// openCatalog opens the catalog of a snapshot; nil if there is none that can be used, or no such snapshot any more.
func (r *repairer) openCatalog(s archive.Snapshot) (*index.Catalog, error) {
	c, err := s.OpenCatalog()
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, index.ErrDamagedData), errors.Is(err, index.ErrNewer):
		return nil, nil
	}
	return nil, err
}

// splitPath splits a path into the folder above, "" for the top, and the name in it.
func splitPath(path string) (above, leaf string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// openIn opens a folder of a snapshot of an archive.
func openIn(root int, snapshot, path string) (dir int, err error) {
	top, err := fsat.OpenDir(root, snapshot)
	if err != nil {
		return fsat.NoDir, err
	}
	defer func() { err = errors.Join(err, fsat.Close(top)) }()
	return fsat.OpenPath(top, path)
}

// compareNames orders names by snapshot and path.
func compareNames(a, b Name) int {
	return cmp.Or(strings.Compare(a.Snapshot, b.Snapshot), strings.Compare(a.Path, b.Path))
}
