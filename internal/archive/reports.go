package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/jsonfile"
)

// Reports are the reports of an archive's runs, a file for each snapshot, and that of a snapshot being published, which
// is in the work folder. A snapshot can be without: its report was lost, or its run ended before it was written.
type Reports struct{ meta *Meta }

const reportExt = ".json"

func (r Reports) path(name string) string { return r.meta.Path(RunsDir, name+reportExt) }

// Read reads the report of a snapshot's run.
func (r Reports) Read(name string) (*Report, error) {
	report := new(Report)
	if err := jsonfile.Read(r.path(name), report); err != nil {
		return nil, fmt.Errorf("run report %s: %w", name, err)
	}
	return report, nil
}

// archiveID returns the id of the archive from the newest report that has it, or "".
func (r Reports) archiveID() string {
	dir, err := os.Lstat(r.meta.Path(RunsDir))
	if err != nil || !dir.IsDir() {
		return ""
	}
	files, _ := names(r.meta.Path(RunsDir)) // without them there is no id
	for _, file := range slices.Backward(files) {
		report, err := r.Read(strings.TrimSuffix(file, reportExt))
		if err == nil && report.ArchiveID != "" {
			return report.ArchiveID
		}
	}
	return ""
}

// verdict is the part of a report that judges the run. A whole report can be large.
type verdict struct {
	Snapshot  string     `json:"snapshot"`
	Baseline  *Coverage  `json:"baseline"`
	Tripwires []Tripwire `json:"tripwires"`
	Limits    *Limits    `json:"limits"`
	Place     *Place     `json:"source_place"`
	PlaceWas  *Place     `json:"source_place_was"`
	Waiting   *Waiting   `json:"waiting"`
	// Unfinished steps make a report one that may have been made from the catalog, which does not tell what waits.
	Unfinished []string `json:"unfinished"`
}

// looksRight reports whether the run set off no tripwire. One that recorded its limits recorded its tripwires as well.
func (v *verdict) looksRight() bool {
	return v.Snapshot != "" && len(v.Tripwires) == 0 && (v.Limits != nil || v.Baseline != nil)
}

// nothingWaits reports whether the run looks right, and found no earlier one of its source that waits.
func (v *verdict) nothingWaits() bool {
	return v.looksRight() && v.Limits != nil && v.Waiting == nil && len(v.Unfinished) == 0
}

// limitsOf returns the limits of a run: those in the verdict on it, or, if its report has none or is lost, those of
// the run of its previous snapshot, which most likely had the same.
func (r Reports) limitsOf(v *verdict, previous string) Limits {
	if v.Limits == nil && v.Snapshot == "" && previous != "" {
		if before, _, err := r.verdictOn(previous); err == nil {
			v = &before
		}
	}
	if v.Limits == nil {
		return DefaultLimits()
	}
	return *v.Limits
}

// verdictOn reads the verdict on a snapshot, from the place of reports or the work folder; known is false if the
// report is lost or damaged. Any other error is returned: without the verdict, the snapshot could replace better ones.
func (r Reports) verdictOn(name string) (v verdict, known bool, err error) {
	err = jsonfile.Read(r.path(name), &v)
	if errors.Is(err, fs.ErrNotExist) {
		err = jsonfile.Read(r.meta.Path(WorkDir, WorkReport), &v)
	}
	if couldNotLook(err) {
		return verdict{}, false, err
	}
	if err != nil || v.Snapshot != name {
		return verdict{}, false, nil
	}
	return v, true, nil
}

// WorkReport is the report, in the work folder, of a snapshot that is about to be published. A run writes it only if
// later runs must not take its snapshot for a good one, even if the run dies before its report is in place; if the run
// had limits of its own, by which it has to be judged; or if the snapshot is a copy: a later run could neither find a copy that is older than other snapshots, nor make its report from
// the catalog.
const WorkReport = "report.json"

// beingPublished returns the name of the snapshot that has a report in the work folder; "" if there is none, or if it was
// never finished. A report that could not be read, and may be readable next time, is an error: it must not be removed.
func (r Reports) beingPublished() (string, error) {
	var work struct {
		Snapshot string `json:"snapshot"`
	}
	err := jsonfile.Read(r.meta.Path(WorkDir, WorkReport), &work)
	if couldNotLook(err) {
		return "", err
	}
	if _, isName := ParseName(work.Snapshot); err != nil || !isName {
		return "", nil
	}
	return work.Snapshot, nil
}

// PlaceWaiting gives a report that waits in the work folder its place, so that another one can take its place there. If
// that fails, for lack of space for one, the report still waits.
func (a *Locked) PlaceWaiting() error {
	name, err := a.Reports.beingPublished()
	if err != nil || name == "" {
		return err
	}
	return a.Reports.adopt(name)
}

// adopt moves the report in the work folder into place, if the snapshot has none. After an error, the report stays.
func (r Reports) adopt(name string) error {
	path := r.meta.Path(WorkDir, WorkReport)
	switch _, err := os.Lstat(r.path(name)); {
	case err == nil:
		return os.Remove(path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.Rename(path, r.path(name)); err != nil {
		return err
	}
	return atomicfile.SyncDir(r.meta.Path(RunsDir))
}
