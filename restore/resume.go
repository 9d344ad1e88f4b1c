package restore

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
)

// A whole snapshot that is restored into a new or an empty folder can be cut short and gone on with: a file in the
// target says meanwhile that the folders in it are this restore's own, which get their metadata even if they exist.
const (
	unfinishedName = ".snapcopy-restore-unfinished"
	maxUnfinished  = 1 << 10
)

// begin finds out whether the target is that of a restore of the same snapshot that was cut short, or notes that one
// begins. list is what there is in the target.
func (r *run) begin(d *dir, list []fsat.DirEntry) error {
	if !r.whole {
		return nil
	}
	text := r.report.Snapshot + "\n" + fmt.Sprintf("%x", d.entry.Hash) + "\n"
	for _, e := range list {
		if e.Name != unfinishedName {
			continue
		}
		found, err := readNote(r.target)
		if err != nil {
			return fmt.Errorf("read %s in target: %w", unfinishedName, err)
		}
		r.resumed, r.report.Resumed = found == text, found == text
		return nil
	}
	if !d.own || r.opt.DryRun {
		return nil
	}
	fd, err := fsat.Create(r.target, unfinishedName, 0o600)
	if err == nil {
		err = fsat.Write(fd, []byte(text), 0)
		err = errors.Join(err, fsat.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("write to target: %w", err)
	}
	r.noted = true
	return nil
}

func readNote(dir int) (text string, err error) {
	fd, err := fsat.OpenFile(dir, unfinishedName)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	buf := make([]byte, maxUnfinished)
	n, err := fsat.Read(fd, buf, 0)
	return string(buf[:n]), err
}

// unfinished reports whether the target has the note.
func (r *run) unfinished() bool { return (r.noted || r.resumed) && !r.opt.DryRun }

// endNote takes the note away. Only modes and attributes that would keep it there are set after that.
func (r *run) endNote() error {
	if !r.unfinished() {
		return nil
	}
	if err := fsat.Unlink(r.target, unfinishedName); err != nil && !fsat.IsGone(err) {
		return fmt.Errorf("remove %s from target: %w", unfinishedName, err)
	}
	if err := fsat.SetMtime(r.target, fsat.Time(r.top.entry.Mtime)); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set time of target: %w", err)
	}
	r.noted, r.resumed = false, false
	return nil
}
