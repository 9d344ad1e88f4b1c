package archive

import (
	"context"
	"errors"
	"time"

	"snapcopy/index"
)

// What the tests from outside need of the inside.

const (
	ForgetFile = forgetFile
	GoneExt    = goneExt
	NoteAge    = noteAge
	OpenedExt  = openedExt
	PinsDir    = pinsDir
	ReadersDir = readersDir
	ReportExt  = reportExt
	TrashDir   = trashDir
)

var Staying = staying

type Forgetter = forgetter

// NewForgetter looks for other places of the stored files of one snapshot that is gone.
func NewForgetter(ctx context.Context, a *Archive, gone string) (*Forgetter, error) {
	list, err := a.Snapshots()
	return &forgetter{ctx: ctx, archive: a, snapshots: list, gone: []string{gone}}, err
}

func (g *forgetter) Snapshots() []Snapshot           { return g.snapshots }
func (g *forgetter) Left() uint64                    { return g.left }
func (g *forgetter) Order() (after, rest []Snapshot) { return g.order() }
func (g *forgetter) LookIn(list []Snapshot) error    { return g.lookIn(list) }
func (g *forgetter) DropUnused() error               { return g.dropUnused() }
func (g *forgetter) Wants(stored uint64) bool        { return g.wanted.Has(stored) }
func (g *forgetter) Want(stored uint64) {
	if g.wanted.Claim(stored) {
		g.left++
	}
}

// Pace gives the function that lets a name through in each span of time.
func Pace(each time.Duration) func(context.Context, int) error { return (&pacer{each: each}).pace }

// LockTrash takes the right to empty the trash; unlock gives it back.
func (t Trash) LockTrash(ctx context.Context) (unlock func() error, ok bool, err error) {
	trash, err := t.open()
	if err != nil {
		return nil, false, err
	}
	ok, err = trash.lock(ctx, false)
	return trash.close, ok, err
}

// MoveAway moves a snapshot into the trash.
func (l *Locked) MoveAway(name string) error {
	trash, err := l.Trash.open()
	if err != nil {
		return err
	}
	return errors.Join(trash.take(l.Root, name, nil), trash.takeRecords(name, nil), trash.close())
}

func (c *Coverage) Gone() uint64 { return c.gone() }

// Acknowledges reports whether the runs of a source up to one, as its summary says, are acknowledged.
func (a *Archive) Acknowledges(s *index.Summary) (bool, error) {
	k, err := readAcknowledged(a.Meta)
	return k.covers(s), err
}

// Complete is the second part of Recover, which needs space.
func (a *Locked) Complete(ctx context.Context) ([]string, error) { return a.complete(ctx) }
