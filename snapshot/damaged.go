package snapshot

import (
	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
)

// damagedFiles are the stored files whose content checks have found damaged and none has found right since. No new snapshot
// uses them; the source's files are stored anew. The archive's note of damage bounds their number. In an archive that was
// copied, the catalogs have other inode numbers than the note, or, until its first run there, the same.
type damagedFiles map[damagedFile]struct{}

type damagedFile struct {
	stored uint64
	hash   index.Hash // that its content should have: what has that inode number by now may be another file
}

// readDamaged reads the archive's note of damage. If that cannot be read, nothing is known: a snapshot with a damaged file is
// better than none.
func readDamaged(a *archive.Archive) damagedFiles {
	note, err := a.Verified().Damage()
	if err != nil || len(note.Damaged) == 0 {
		return nil
	}
	all := make(damagedFiles)
	for i := range note.Damaged {
		if d := &note.Damaged[i]; d.Kind == verified.Content && d.Stored != 0 {
			all[damagedFile{d.Stored, d.Hash}] = struct{}{}
		}
	}
	return all
}

// has reports whether an entry of a snapshot has such a stored file.
func (d damagedFiles) has(e *index.Entry) bool {
	if len(d) == 0 || e.Type != index.File {
		return false
	}
	_, is := d[damagedFile{e.Stored, e.Hash}]
	return is
}
