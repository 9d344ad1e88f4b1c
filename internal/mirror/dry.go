package mirror

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Dry is the mirror of a dry run: it makes nothing, and says that everything has succeeded. It knows the previous
// snapshot, at whose stored files a dry run looks, too.
type Dry struct {
	// Root is the handle of the archive's folder, and Previous the name of the previous snapshot. Without one neither
	// matters.
	Root     int
	Previous string
}

// Top returns the top, of which only the counterpart can be opened.
func (d *Dry) Top() (Folder, error) { return &dryFolder{topCounterpart(d.Root, d.Previous)}, nil }

// In calls do without a folder.
func (d *Dry) In(_ string, do func(fd int) error) error { return do(fsat.NoDir) }

// Lacks returns none.
func (d *Dry) Lacks() fsat.Privileges { return 0 }

// Sync does nothing.
func (d *Dry) Sync() error { return nil }

// Publish does nothing: a dry run ends without a snapshot.
func (d *Dry) Publish(string) error { return nil }

// Discard does nothing.
func (d *Dry) Discard() error { return nil }

// Close does nothing.
func (d *Dry) Close() error { return nil }

// dryFolder is a folder of a Dry mirror. Its methods do not fail, but for those that need the counterpart.
type dryFolder struct{ counterpart }

func (f *dryFolder) Make(name string) (Folder, error) {
	return &dryFolder{f.below(name)}, nil
}

func (f *dryFolder) Keep(string) error {
	if f.fd < 0 {
		return errNoCounterpart
	}
	return nil
}

func (f *dryFolder) Link(int, string, string) error { return nil }

func (f *dryFolder) Locate(*index.Entry) error { return nil }

func (f *dryFolder) Create(*index.Entry, []fsat.Xattr) (File, error) { return nil, nil }

func (f *dryFolder) TakeOver(int, string, *index.Entry) (File, bool, error) { return nil, false, nil }

func (f *dryFolder) MakeSpecial(*index.Entry, []fsat.Xattr) (lost, err error) { return nil, nil }

func (f *dryFolder) Remove(string) error { return nil }

func (f *dryFolder) Finish(*index.Entry, []fsat.Xattr, []index.Entry, []byte) (Finished, error) {
	return Finished{}, nil
}

func (f *dryFolder) Close() error { return f.close() }

func (f *dryFolder) Reopen(below Folder) error {
	if below, ok := below.(*dryFolder); ok {
		f.reopen(&below.counterpart)
		return nil
	}
	f.reopen(nil)
	return nil
}
