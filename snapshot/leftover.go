package snapshot

import (
	"strings"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
)

// What restores that were cut short have left in the source is not the user's: it stays out of the snapshot.

const (
	ruleNote      = "the note of a restore that is not finished"
	ruleTemporary = "left by a restore that was cut short"
	ruleSwap      = "the new tree of a restore that is not finished"
	ruleInstant   = "the changes in an instant restore, which are in the snapshot where it is mounted"
)

// maxUnfinished is how many unfinished restores a report names.
const maxUnfinished = 100

// leftBehind says what a file of the source is if a restore has left it, or "".
func (r *run) leftBehind(d *dir, name string, st *fsat.Stat) (rule string, err error) {
	if !strings.HasPrefix(name, leftover.Prefix) {
		return "", nil
	}
	if _, ok := leftover.ParseTemporary(name, d.source.Ino); ok {
		return ruleTemporary, nil
	}
	if st.Type != fsat.Regular || !leftover.IsNoteName(name) {
		return "", nil
	}
	if _, ok, err := leftover.ReadNote(d.handles.src, name); err != nil || !ok {
		return "", err
	}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if len(r.report.UnfinishedRestores) < maxUnfinished {
		r.report.UnfinishedRestores = append(r.report.UnfinishedRestores, archive.LeftOutItem{Path: d.sharedPath(), Rule: ruleNote})
	}
	return ruleNote, nil
}

// leftBehindDir is leftBehind for a folder, which is open.
func (r *run) leftBehindDir(d *dir, src int) string {
	if !strings.HasPrefix(d.name(), ".") {
		return ""
	}
	if d.parent != nil {
		if _, ok := leftover.ParseTemporary(d.name(), d.parent.source.Ino); ok {
			return ruleTemporary
		}
	}
	if leftover.IsSwap(d.name(), src) {
		return ruleSwap
	}
	if d.parent == nil || r.opt.OneFileSystem {
		return "" // the mounted tree is not in the snapshot
	}
	mountpoint, ok := leftover.Instant(d.name(), src)
	var st fsat.Stat
	if ok && fsat.StatAt(d.parent.handles.src, mountpoint, &st) == nil && st.Mounted {
		return ruleInstant
	}
	return ""
}
