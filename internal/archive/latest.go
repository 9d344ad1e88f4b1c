package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// latestLink is the link to the newest snapshot in an archive's folder. It can be missing: some file systems have no
// links.
type latestLink struct {
	archive string // path of the folder
	root    int    // handle of it
	meta    *Meta  // in which a new link is made
}

// point points the link at a snapshot, in one step; "" removes it.
//
// If there is no space for a second link beside the old one, and spare says that the old one is useless, point removes
// the old one first: on a file system without a free inode the new link takes the inode of the old one.
func (l latestLink) point(name string, spare bool) error {
	if name == "" {
		return l.drop()
	}
	err := l.place(name)
	if !fsat.IsNoSpace(err) || !spare {
		return err
	}
	if err := l.drop(); err != nil {
		return err
	}
	if err := fsat.MakeSymlink(name, l.root, LatestLink); err != nil {
		return &fs.PathError{Op: "symlink", Path: filepath.Join(l.archive, LatestLink), Err: err}
	}
	return l.sync()
}

func (l latestLink) drop() error {
	if err := fsat.Unlink(l.root, LatestLink); err != nil && !fsat.IsGone(err) {
		return &fs.PathError{Op: "unlink", Path: filepath.Join(l.archive, LatestLink), Err: err}
	}
	return l.sync()
}

// place makes the new link in the work folder and moves it over the old one.
func (l latestLink) place(name string) (err error) {
	work, err := l.meta.Open(WorkDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(work)) }()
	if err := fsat.Unlink(work, LatestLink); err != nil && !fsat.IsGone(err) {
		return callFailed("unlink", l.meta.Path(WorkDir, LatestLink), err)
	}
	if err := fsat.MakeSymlink(name, work, LatestLink); err != nil {
		return &fs.PathError{Op: "symlink", Path: l.meta.Path(WorkDir, LatestLink), Err: err}
	}
	if err := fsat.Rename(work, LatestLink, l.root, LatestLink); err != nil {
		var st fsat.Stat
		if fsat.StatAt(l.root, LatestLink, &st) == nil && st.Type == fsat.Directory {
			err = &plainfile.KindError{Is: "a folder, which has to go elsewhere", Want: "a link"}
		}
		err = &fs.PathError{Op: "rename to", Path: filepath.Join(l.archive, LatestLink), Err: err}
		return errors.Join(err, fsat.Unlink(work, LatestLink))
	}
	return l.sync()
}

// outOfInodes reports a file system that cannot make another file, not even for a moment.
func (l latestLink) outOfInodes() bool {
	space, err := fsat.FileSystem(l.root)
	return err == nil && space.Inodes > 0 && space.FreeInodes == 0
}

func (l latestLink) sync() error { return callFailed("sync", l.archive, fsat.Sync(l.root)) }

// target returns the snapshot to which the link points; "" if there is no link of that name.
func (l latestLink) target() string {
	target, err := os.Readlink(filepath.Join(l.archive, LatestLink))
	if err != nil {
		return ""
	}
	return target
}

// Latest returns the name of the snapshot to which "latest" points; "" if there is no link of that name.
func (a *Archive) Latest() string { return a.latest.target() }

// PointLatest points "latest" at a snapshot, in one step.
func (a *Locked) PointLatest(name string) error { return a.latest.point(name, a.latest.outOfInodes()) }

// mendLatest points the link at the newest snapshot. An interrupted removal may have left it at an older one, or, for
// lack of space, removed it; a run may have ended before setting it. Anything but a link of that name is left alone.
func (a *Locked) mendLatest() error {
	target := a.Latest()
	if target == "" {
		_, err := os.Lstat(filepath.Join(a.Path, LatestLink))
		if !errors.Is(err, fs.ErrNotExist) || !a.Info.Capabilities.Symlinks {
			return nil
		}
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	newest := ""
	if len(snapshots) > 0 {
		if newest, err = a.latest.shouldBe(snapshots, target, a.Now()); err != nil {
			return err
		}
	}
	if target == newest {
		return nil
	}
	there, err := hasFolder(a.Path, target)
	if err != nil {
		return err
	}
	return a.latest.point(newest, !there || a.latest.outOfInodes())
}

// shouldBe returns the snapshot to which the link should point, given its present target: the last one, or, if
// that is from the future, the one made last.
func (l latestLink) shouldBe(list []Snapshot, target string, now time.Time) (string, error) {
	last, past := len(list)-1, NewestPast(list, now)
	if past == last {
		return list[last].Name, nil
	}
	if !slices.ContainsFunc(list, func(s Snapshot) bool { return s.Name == target }) {
		return list[l.newest(list, now)].Name, nil
	}
	for _, i := range []int{last, past} {
		if i < 0 || list[i].Name == target {
			continue
		}
		c, err := list[i].OpenCatalog()
		if err != nil {
			continue // verify tells of it
		}
		after := c.Summary().Previous == target // the run of c ended before it had set the link
		if err := c.Close(); err != nil {
			return "", err
		}
		if after || i == past && list[i].Name > target {
			return list[i].Name, nil
		}
	}
	return target, nil
}
