package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/jsonfile"
	"snapcopy/internal/rmtree"
)

// RepairDir is the folder of .snapcopy in which a repair makes new inodes, before they take the places of damaged ones.
// The inodes are in its folder RepairTree.
const (
	RepairDir  = "repair"
	RepairTree = "tree"
)

// repairFile is the note of an unfinished Exchange. While it exists, Recover goes on with it.
const repairFile = "repair.json"

// ExchangeKind says what is exchanged in a published snapshot.
type ExchangeKind string

// The kinds of exchange. After each of them the folder that contains the name has its recorded metadata.
const (
	// Put puts an inode from RepairTree into the place of an entry other than a folder.
	Put ExchangeKind = "put"
	// PutFolder makes a folder that is missing, and sets its metadata to the recorded ones.
	PutFolder ExchangeKind = "folder"
	// SetFolder sets the metadata of an existing folder, which belongs to one snapshot alone, to the recorded ones.
	SetFolder ExchangeKind = "metadata"
	// TakeOut moves a name that the catalog does not contain out of the snapshot: see Extra.
	TakeOut ExchangeKind = "take out"
)

// Exchange is a change of one name in a published snapshot, by which the snapshot becomes again what its catalog says.
type Exchange struct {
	Kind     ExchangeKind `json:"kind"`
	Snapshot string       `json:"snapshot"`
	Path     []byte       `json:"path_base64"`    // in the snapshot
	File     string       `json:"file,omitempty"` // Put: name in RepairTree, of the inode Stored
	Stored   uint64       `json:"stored,omitempty"`
	// Record says that the catalog is to get the inode in the entry; that of a folder is known when it was made.
	Record bool        `json:"record,omitempty"`
	Blocks uint64      `json:"blocks,omitempty"`
	Flags  index.Flags `json:"flags,omitempty"` // of index.CatalogOnly
	// Missed is set by Locked.Exchange if the name is not changed: its folder is missing, or what is in RepairTree is not
	// the inode Stored.
	Missed bool `json:"-"`
}

// repairNote is the list of exchanges of an unfinished Exchange.
type repairNote struct {
	Archive   string     `json:"archive_id"`
	Anchor    uint64     `json:"anchor"` // of the archive: a copy of it has other inodes
	Exchanges []Exchange `json:"exchanges"`
}

// Exchange does exchanges, in their order, in published snapshots whose readers do not matter: see InUse. With
// ForgetPath it is the exception to the rule that a published snapshot never changes. No stored file is written to: a
// new inode, durable in RepairTree, takes the name of another one by a rename. When all names have their inodes, the
// catalogs get the numbers of the new ones, and the content-hash index is made anew. A note makes the next process with
// the lock go on after an interruption at any moment, and meanwhile each name has either the old inode or the new one.
// Names that could not get theirs are marked in the list as Missed, and stay in the note of damage.
func (a *Locked) Exchange(ctx context.Context, list []Exchange, fault func(step string) error) error {
	step := stepper(fault)
	if err := step.at("note of the exchanges"); err != nil {
		return err
	}
	note := repairNote{a.Info.ID, a.Anchor, list}
	if err := note.check(); err != nil {
		return err
	}
	if err := a.withRoom(ctx, func() error { return jsonfile.Write(a.Meta.Path(repairFile), note) }); err != nil {
		return err
	}
	return a.exchangeAll(ctx, step, note)
}

// Repairing returns the number of names of an unfinished Exchange; 0 if there is none, or its note is unreadable:
// Findings reports that.
func (a *Archive) Repairing() int {
	note, err := a.readRepairNote()
	if err != nil {
		return 0
	}
	return len(note.Exchanges)
}

// BeginRepair makes RepairDir, empty, and opens it. It drops an unreadable note of an earlier Exchange: the damage that is
// left is found again.
func (a *Locked) BeginRepair(ctx context.Context) (fd int, err error) {
	if err := a.DropRepairNote(); err != nil {
		return fsat.NoDir, err
	}
	if err := a.EndRepair(); err != nil {
		return fsat.NoDir, err
	}
	if err := a.withRoom(ctx, func() error { return a.Meta.makeDir(RepairDir) }); err != nil {
		return fsat.NoDir, fmt.Errorf("make %s: %w", a.Meta.Path(RepairDir), err)
	}
	return a.Meta.Open(RepairDir)
}

// DropRepairNote removes an unreadable note of an Exchange, durably. Another one stays.
func (a *Locked) DropRepairNote() error {
	_, err := a.readRepairNote()
	if couldNotLook(err) {
		return err
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(os.Remove(a.Meta.Path(repairFile)), atomicfile.SyncDir(a.Meta.Path()))
}

// EndRepair removes RepairDir.
func (a *Locked) EndRepair() error {
	if err := rmtree.Remove(a.Meta.fd, RepairDir); err != nil {
		return fmt.Errorf("remove %s: %w", a.Meta.Path(RepairDir), err)
	}
	return nil
}

// InUse reports that a snapshot is in use by a reader, and must not be changed; nil: it is not.
func (a *Locked) InUse(ctx context.Context, s Snapshot) (*SkippedSnapshot, error) {
	readers, err := a.Readers.All()
	if err != nil {
		return nil, err
	}
	return a.inUse(ctx, s, readers)
}

// readRepairNote reads the note of an unfinished Exchange. Without a note the error wraps fs.ErrNotExist.
func (a *Archive) readRepairNote() (note repairNote, err error) {
	if err = jsonfile.Read(a.Meta.Path(repairFile), &note); err == nil {
		err = note.check()
	}
	if err == nil && (note.Archive != a.Info.ID || note.Anchor != a.Anchor) {
		err = errOtherArchive
	}
	return note, err
}

// errOtherArchive reports a note that names files of another archive.
var errOtherArchive = errors.New("it is of another archive, or the archive was copied since")

// check returns an error if the note cannot be one that Exchange has written: nothing outside of a snapshot's folder and
// of RepairTree may be reached by it.
func (n *repairNote) check() error {
	if len(n.Exchanges) == 0 {
		return errors.New("it names nothing to exchange")
	}
	for i := range n.Exchanges {
		x := &n.Exchanges[i]
		path := string(x.Path)
		known := slices.Contains([]ExchangeKind{Put, PutFolder, SetFolder, TakeOut}, x.Kind)
		isTop := path == "" && x.Kind == SetFolder
		fileOK := (x.Kind == Put) == (x.File != "") && strings.Trim(x.File, "0123456789") == ""
		if !known || !IsName(x.Snapshot) || !isTop && !isInside(path) || !fileOK || x.Flags&^index.CatalogOnly != 0 {
			return fmt.Errorf("exchange %d is not one of names in a snapshot", i)
		}
	}
	return nil
}

// isInside reports whether a path, elements joined by '/', is that of an entry in a snapshot.
func isInside(path string) bool {
	return !slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool {
		return s == "" || s == "." || s == ".." || strings.Contains(s, "\x00")
	})
}

// finishExchange does the exchanges of the note, if there is one. Each step can be repeated. It returns the exchanges.
func (a *Locked) finishExchange(ctx context.Context, step stepper) (finished []Exchange, err error) {
	note, noteErr := a.readRepairNote()
	if couldNotLook(noteErr) {
		return nil, noteErr
	}
	if noteErr != nil { // mostly there is none; Findings reports an unreadable one
		return nil, nil
	}
	return note.Exchanges, a.exchangeAll(ctx, step, note)
}

// exchangeAll does the exchanges of the note, and removes it.
func (a *Locked) exchangeAll(ctx context.Context, step stepper, note repairNote) error {
	w := exchangeWork{Locked: a, ctx: ctx, step: step, list: note.Exchanges}
	if err := w.all(); err != nil {
		return err
	}
	if err := step.at("note of damage"); err != nil {
		return err
	}
	if err := w.forgetDamage(); err != nil {
		return err
	}
	if err := step.at("end of the note"); err != nil {
		return err
	}
	return errors.Join(os.Remove(a.Meta.Path(repairFile)), atomicfile.SyncDir(a.Meta.Path()))
}

// finishedText says what a recovery did with the exchanges of a repair.
func finishedText(list []Exchange) string {
	missed := 0
	for i := range list {
		if list[i].Missed {
			missed++
		}
	}
	if missed == 0 {
		return "finished a repair"
	}
	return fmt.Sprintf("finished a repair, but for %d of its %d names, which could not be changed: repeat the repair", missed, len(list))
}
