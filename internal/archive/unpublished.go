package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/jsonfile"
)

// Outcome is how a run has ended that published no snapshot.
type Outcome string

// The outcomes.
const (
	OutcomeFailed      Outcome = "failed"
	OutcomeRefused     Outcome = "refused"     // the source or the archive is not one for which a run may begin
	OutcomeInterrupted Outcome = "interrupted" // by a signal
	OutcomeTimeLimit   Outcome = "time limit"
	OutcomeSkipped     Outcome = "skipped" // another process was writing to the archive
	OutcomeNoSpace     Outcome = "no space"
)

// Unpublished is the record of a run that published no snapshot, stored as .snapcopy/runs/NAME.unpublished.json.
// Report.Snapshot is NAME: the time of the run in the form of a snapshot's name, which no other record has. The lists of
// the report are cut after 100 items; their counts are exact.
type Unpublished struct {
	*Report
	Outcome Outcome
	Error   string
}

const (
	unpublishedExt = ".unpublished" + reportExt
	// maxUnpublished is the number of records to keep: three for each day of a year.
	maxUnpublished = 1000
	// maxUnpublishedItems bounds the lists in a record.
	maxUnpublishedItems = 100
)

type unpublishedObject struct {
	reportObject
	Outcome Outcome `json:"outcome"`
	Error   string  `json:"error"`
}

// MarshalJSON adds the outcome to the fields of the report.
func (u *Unpublished) MarshalJSON() ([]byte, error) {
	return json.Marshal(unpublishedObject{u.Report.object(), u.Outcome, u.Error})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (u *Unpublished) UnmarshalJSON(text []byte) error {
	var v struct {
		Outcome Outcome `json:"outcome"`
		Error   string  `json:"error"`
	}
	u.Report = new(Report)
	if err := errors.Join(json.Unmarshal(text, &v), json.Unmarshal(text, u.Report)); err != nil {
		return err
	}
	u.Outcome, u.Error = v.Outcome, v.Error
	return nil
}

// IsUnpublished reports whether a file in the folder of reports has the name of the record of a run that published nothing.
func IsUnpublished(file string) bool {
	name, is := strings.CutSuffix(file, unpublishedExt)
	return is && IsName(name)
}

func (r Reports) unpublishedPath(name string) string {
	return r.meta.Path(RunsDir, name+unpublishedExt)
}

// UnpublishedNames returns the names of the records of runs that published no snapshot, oldest first.
func (r Reports) UnpublishedNames() (list []string, err error) {
	files, err := r.meta.listDerived(RunsDir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if IsUnpublished(file) {
			list = append(list, strings.TrimSuffix(file, unpublishedExt))
		}
	}
	slices.Sort(list)
	return list, nil
}

// ErrRecord reports a damaged record of a run that published no snapshot. Nothing depends on it.
var ErrRecord = errors.New("the record of the run is damaged")

// ReadUnpublished reads the record of a run that published no snapshot. It fails with fs.ErrNotExist if another process
// has removed the record, as the oldest one, since its name was listed.
func (r Reports) ReadUnpublished(name string) (*Unpublished, error) {
	u := new(Unpublished)
	err := jsonfile.Read(r.unpublishedPath(name), u)
	if err != nil && !couldNotLook(err) && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, r.unpublishedPath(name), withoutPath(err))
	}
	if err != nil {
		return nil, fmt.Errorf("record of run %s: %w", name, err)
	}
	return u, nil
}

// RecordUnpublished writes the record of a run that published no snapshot, durably, and removes the oldest records if
// there are too many. It needs no lock, so that a run that did not get the lock leaves a record, too: a record is a new
// file under a name of its own, and no process changes it but forget-path. rep stays as it is.
func (a *Archive) RecordUnpublished(rep *Report, outcome Outcome, cause error) (err error) {
	if err := OutsideOthers(a.Path); err != nil {
		return err
	}
	r := *rep
	r.Archive, r.ArchiveID = a.Path, a.Info.ID
	r.Failed, r.LeftOut = firstOf(r.Failed), firstOf(r.LeftOut)
	r.Altered, r.Rotten, r.UnfinishedRestores = firstOf(r.Altered), firstOf(r.Rotten), firstOf(r.UnfinishedRestores)
	u := &Unpublished{Report: &r, Outcome: outcome, Error: cause.Error()}
	dir, err := a.Meta.Open(RunsDir)
	if errors.Is(err, fs.ErrNotExist) { // only whoever has the lock may make it anew
		return err
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	at, isName := ParseName(r.Snapshot)
	if !isName {
		at = r.Start
	}
	for {
		r.Snapshot = NameAt(at)
		added, err := a.Reports.addUnpublished(dir, u)
		if err != nil {
			return err
		}
		if added {
			return a.Reports.trimUnpublished()
		}
		at = at.Add(time.Second)
	}
}

func firstOf[T any](list []T) []T { return list[:min(len(list), maxUnpublishedItems)] }

// addUnpublished gives a record its name; added is false if there is a record or a report of that name.
func (r Reports) addUnpublished(dir int, u *Unpublished) (added bool, err error) {
	if _, err := os.Lstat(r.path(u.Snapshot)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	path := r.unpublishedPath(u.Snapshot)
	text, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return false, err
	}
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	err = fsat.RenameNew(dir, filepath.Base(f.Name()), dir, filepath.Base(path))
	if fsat.IsExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, fsat.Sync(dir)
}

// trimUnpublished removes the oldest records if there are too many.
func (r Reports) trimUnpublished() error {
	names, err := r.UnpublishedNames()
	if err != nil {
		return err
	}
	for _, name := range names[:max(0, len(names)-maxUnpublished)] {
		if err := r.removeUnpublished(name); err != nil {
			return err
		}
	}
	return nil
}

// removeUnpublished removes a record. It moves a folder in the place of one aside.
func (r Reports) removeUnpublished(name string) error {
	err := os.Remove(r.unpublishedPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info, statErr := os.Lstat(r.unpublishedPath(name)); err != nil && statErr == nil && info.IsDir() {
		return r.meta.putAside(filepath.Join(RunsDir, name+unpublishedExt), "a folder")
	}
	return err
}
