package archive

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/jsonfile"
	"snapcopy/internal/plainfile"
)

// Info is the content of archive.json. Snapshots do not depend on it: the capabilities of the file system can be
// probed again, and the id is in every run report, too.
type Info struct {
	Format       int          `json:"format"`
	ID           string       `json:"id"`
	Created      time.Time    `json:"created"`
	Capabilities Capabilities `json:"capabilities"`
}

var errNoInfo = errors.New("it is missing")

// readInfo reads the archive.json of the archive at a path. If the file cannot be used, but the folder is an archive
// all the same, damage is the reason, and info has the values that can be derived.
func readInfo(path string) (info Info, damage, err error) {
	own := filepath.Join(path, MetaDir)
	if meta, err := os.Lstat(own); err == nil && !meta.IsDir() {
		kind := &plainfile.KindError{Is: plainfile.KindOf(meta.Mode()), Want: "a folder"}
		return info, nil, &fs.PathError{Op: "open archive", Path: own, Err: kind}
	}
	err = jsonfile.Read(filepath.Join(own, ArchiveFile), &info)
	missing := errors.Is(err, fs.ErrNotExist)
	var call *fs.PathError
	switch {
	case missing && !hasSnapshots(path):
		return info, nil, notArchive(path)
	case missing:
		err = errNoInfo
	case errors.As(err, &call) && !errors.Is(err, plainfile.ErrKind):
		return info, nil, accessError("open archive", path, err)
	case call == nil && err != nil:
		err = fmt.Errorf("it differs from the file that was written: %w", err)
	case err == nil:
		err = info.check()
	}
	if errors.Is(err, ErrNewerFormat) {
		return info, nil, fmt.Errorf("open archive %s: %w", path, err)
	}
	if err != nil {
		return derivedInfo(path), withoutPath(err), nil
	}
	return info, nil, nil
}

// withoutPath drops the path from an error, for a message that already has it.
func withoutPath(err error) error {
	if path, ok := err.(*fs.PathError); ok {
		return path.Err
	}
	return err
}

// check returns an error if this program does not know the format.
func (info *Info) check() error {
	switch {
	case info.Format > formatVersion:
		return fmt.Errorf("%w (format %d, this program knows %d)", ErrNewerFormat, info.Format, formatVersion)
	case info.Format < 1:
		return errors.New("it has no format version")
	}
	return nil
}

// hasSnapshots reports whether the folder at a path contains snapshots or catalogs of ours: then it is an archive,
// whatever its archive.json says.
func hasSnapshots(path string) bool {
	own := filepath.Join(path, MetaDir)
	if meta, err := os.Lstat(own); err != nil || !meta.IsDir() {
		return false
	}
	isOurs := func(e os.DirEntry) bool {
		_, ok := ParseName(strings.TrimSuffix(e.Name(), CatalogExt))
		return ok
	}
	folders, _ := os.ReadDir(path) // without permission to list, it counts as none
	if slices.ContainsFunc(folders, isOurs) {
		return true
	}
	if info, err := os.Lstat(filepath.Join(own, CatalogsDir)); err != nil || !info.IsDir() {
		return false
	}
	catalogs, _ := os.ReadDir(filepath.Join(own, CatalogsDir))
	return slices.ContainsFunc(catalogs, isOurs)
}

// notArchive returns the error for a folder without archive.json.
func notArchive(path string) error {
	names, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !slices.ContainsFunc(names, foreign):
		return fmt.Errorf("open archive %s: %w", path, ErrNoArchive)
	case err != nil:
		return accessError("open archive", path, err)
	}
	if slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.IsDir() && IsName(e.Name()) }) {
		return fmt.Errorf("open archive %s: %w (%s)", path, ErrNoRecords, filepath.Join(path, MetaDir))
	}
	return fmt.Errorf("open archive %s: %w (no %s/%s)", path, ErrNotArchive, MetaDir, ArchiveFile)
}

// derivedInfo returns the Info that can be derived from the rest of the archive. The id is "" if no run report has it.
func derivedInfo(path string) Info {
	info := Info{Format: formatVersion}
	if folders, err := names(path); err == nil {
		for _, name := range folders {
			if t, ok := ParseName(name); ok {
				info.Created = t
				break
			}
		}
	}
	info.ID = unopened(path).Reports.archiveID()
	return info
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

func (a *Locked) WriteInfo() error {
	return jsonfile.Write(a.Meta.Path(ArchiveFile), a.Info)
}

// mendInfo makes archive.json anew if it could not be used.
func (a *Locked) mendInfo() error {
	if a.InfoDamage == nil {
		return nil
	}
	info, damage, err := readInfo(a.Path)
	if err != nil {
		return err
	}
	if damage == nil { // another process has done it
		a.Info, a.InfoDamage = info, nil
		return nil
	}
	if err := refuseNewer(a.Archive); err != nil {
		return err
	}
	info.Capabilities, err = a.Probe()
	if err == nil {
		if info.ID == "" {
			info.ID = newID()
		}
		if info.Created.IsZero() {
			info.Created = time.Now().UTC().Truncate(time.Second)
		}
		a.Info = info
		err = a.WriteInfo()
	}
	if fsat.IsNoSpace(err) { // removing snapshots must work all the same
		return nil
	}
	if err != nil {
		return err
	}
	a.Meta.note("%s was made anew: it could not be used (%v)", a.Meta.Path(ArchiveFile), a.InfoDamage)
	a.InfoDamage = nil
	return nil
}

// refuseNewer fails if the newest catalogs are of a newer version of the program, which has then written the archive.
func refuseNewer(a *Archive) error {
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(snapshots) {
		c, err := s.OpenCatalog()
		if errors.Is(err, index.ErrNewer) {
			return fmt.Errorf("open archive %s: %w", a.Path, ErrNewerFormat)
		}
		if err == nil {
			return c.Close()
		}
	}
	return nil
}
