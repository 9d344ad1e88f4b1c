package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

func (a *Archive) pinPath(snapshot string) string { return a.Meta.Path(pinsDir, snapshot+pinExt) }

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
	if there, err := a.hasFolder(snapshot); err != nil {
		return fmt.Errorf("pin: %w", err)
	} else if !there {
		return fmt.Errorf("pin: %w: %s", ErrNoSnapshot, snapshot)
	}
	if err := os.Mkdir(a.Meta.Path(pinsDir), 0o700); err == nil {
		err = atomicfile.SyncDir(a.Meta.Path())
		if err != nil {
			return fmt.Errorf("pin: %w", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("pin: %w", err)
	}
	if err := jsonfile.Write(a.pinPath(snapshot), Pin{snapshot, label, now.UTC().Truncate(time.Second)}); err != nil {
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
	if err := os.Remove(a.pinPath(snapshot)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("unpin: %w", err)
	}
	if err := atomicfile.SyncDir(a.Meta.Path(pinsDir)); err != nil {
		return true, fmt.Errorf("unpin: %w", err)
	}
	return true, nil
}

// Pins returns the pins by the names of their snapshots, without those of removed snapshots.
func (a *Archive) Pins() (map[string]Pin, error) {
	snapshots, err := a.pinned()
	if err != nil {
		return nil, err
	}
	pins := make(map[string]Pin)
	for _, name := range snapshots {
		there, err := a.hasFolder(name)
		if err != nil {
			return nil, fmt.Errorf("list pins: %w", err)
		}
		if !there {
			continue
		}
		var p Pin
		err = jsonfile.Read(a.pinPath(name), &p)
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

// pinned returns the names of snapshots with a pin.
func (a *Archive) pinned() (snapshots []string, err error) {
	files, err := a.Meta.list(pinsDir)
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

// hasFolder reports whether a snapshot's folder exists, with or without its catalog.
func (a *Archive) hasFolder(snapshot string) (bool, error) {
	if _, ok := ParseName(snapshot); !ok {
		return false, nil
	}
	_, err := os.Lstat(filepath.Join(a.Path, snapshot))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// dropStalePins removes the pins of removed snapshots.
func (a *Locked) dropStalePins() error {
	snapshots, err := a.pinned()
	if err != nil {
		return err
	}
	for _, name := range snapshots {
		there, err := a.hasFolder(name)
		if err == nil && !there {
			err = os.Remove(a.pinPath(name))
		}
		if err != nil {
			return fmt.Errorf("remove the pin of a snapshot that is gone: %w", err)
		}
	}
	return nil
}
