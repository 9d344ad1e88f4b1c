package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/jsonfile"
)

// Pin protects a snapshot from removal, whatever the retention rules say. Pins are files in .snapcopy/pins, each named
// after its snapshot. The existence of the file pins; its content is for people only, so damage to it unpins nothing.
type Pin struct {
	Snapshot string    `json:"snapshot"`
	Label    string    `json:"label,omitempty"` // why, for people
	Since    time.Time `json:"since"`
}

const (
	pinsDir = "pins"
	pinExt  = ".json"
)

// pins are the files of pins.
type pins struct{ meta *Meta }

func (p pins) path(snapshot string) string { return p.meta.Path(pinsDir, snapshot+pinExt) }

// names returns the names of snapshots with a pin.
func (p pins) names() (snapshots []string, err error) {
	files, err := p.meta.list(pinsDir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f, pinExt)
		if _, isName := ParseName(name); ok && isName {
			snapshots = append(snapshots, name)
		}
	}
	return snapshots, nil
}

// write makes a pin durable, and replaces an earlier one of the snapshot.
func (p pins) write(pin Pin) error {
	if err := os.Mkdir(p.meta.Path(pinsDir), 0o700); err == nil {
		if err := atomicfile.SyncDir(p.meta.path); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return jsonfile.Write(p.path(pin.Snapshot), pin)
}

// remove removes a pin durably, and reports whether there was one.
func (p pins) remove(snapshot string) (was bool, err error) {
	if err := os.Remove(p.path(snapshot)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, atomicfile.SyncDir(p.meta.Path(pinsDir))
}

// Pin pins a snapshot, durably; a snapshot already pinned gets the new label. It fails with ErrLocked while another
// process has the archive's lock, since that process might be removing the snapshot.
func (a *Archive) Pin(snapshot, label string, now time.Time) (err error) {
	lock, err := a.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := lock.dropStalePins(); err != nil {
		return err
	}
	if there, err := hasFolder(a.Path, snapshot); err != nil {
		return fmt.Errorf("pin: %w", err)
	} else if !there {
		return fmt.Errorf("pin: %w: %s", ErrNoSnapshot, snapshot)
	}
	if err := a.pins.write(Pin{snapshot, label, now.UTC().Truncate(time.Second)}); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return nil
}

// Unpin removes a pin and reports whether there was one. It fails with ErrLocked as Pin does.
func (a *Archive) Unpin(snapshot string) (was bool, err error) {
	lock, err := a.Lock()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := lock.dropStalePins(); err != nil {
		return false, err
	}
	if was, err = a.pins.remove(snapshot); err != nil {
		return was, fmt.Errorf("unpin: %w", err)
	}
	return was, nil
}

// Pins returns the pins by the names of their snapshots, without those of removed snapshots.
func (a *Archive) Pins() (map[string]Pin, error) {
	snapshots, err := a.pins.names()
	if err != nil {
		return nil, err
	}
	pins := make(map[string]Pin)
	for _, name := range snapshots {
		there, err := hasFolder(a.Path, name)
		if err != nil {
			return nil, fmt.Errorf("list pins: %w", err)
		}
		if !there {
			continue
		}
		var p Pin
		err = jsonfile.Read(a.pins.path(name), &p)
		if errors.Is(err, fs.ErrNotExist) { // it has just been taken away
			continue
		}
		if err != nil {
			p = Pin{}
		}
		p.Snapshot = name
		pins[name] = p
	}
	return pins, nil
}

// dropStalePins removes the pins of removed snapshots.
func (a *Locked) dropStalePins() error {
	snapshots, err := a.pins.names()
	if err != nil {
		return err
	}
	for _, name := range snapshots {
		there, err := hasFolder(a.Path, name)
		if err == nil && !there {
			err = os.Remove(a.pins.path(name))
		}
		if err != nil {
			return fmt.Errorf("remove the pin of a snapshot that is gone: %w", err)
		}
	}
	return nil
}
