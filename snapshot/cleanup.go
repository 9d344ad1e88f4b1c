package snapshot

import (
	"context"
	"fmt"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/fsat"
)

// cleanUp removes the leftovers of interrupted runs, completes snapshots that they have published, and probes the file
// system again.
func (r *run) cleanUp() error {
	recovered, err := r.locked.Recover(r.ctx)
	if err != nil {
		return err
	}
	r.report.Recovered, r.report.ArchiveID = recovered, r.archive.Info.ID
	r.report.Mended = append(r.report.Mended, r.archive.Meta.Mended()...)
	lost, err := r.archive.LostParts()
	if err != nil {
		return err
	}
	r.report.Findings = append(r.archive.Findings(), lost...)
	if err := makeRoom(r.ctx, r.archive, r.opt.Threads); err != nil {
		return err
	}
	if r.work, err = r.archive.Meta.Open(archive.WorkDir); err != nil {
		return err
	}
	if r.caps.Capabilities, err = r.locked.Probe(); err != nil {
		return fmt.Errorf("archive %s: %w", r.archive.Path, err)
	}
	if !r.caps.HardLinks && !r.opt.AllowCopies {
		return fmt.Errorf("archive %s: %w (%s)", r.archive.Path, archive.ErrNoHardLinks, r.caps.FileSystem)
	}
	if r.caps.Capabilities != r.archive.Info.Capabilities {
		r.archive.Info.Capabilities = r.caps.Capabilities
		return r.locked.WriteInfo()
	}
	return nil
}

// makeRoom empties the trash before the run if little space is left. Otherwise that follows the run, so that a large
// trash keeps no run waiting.
func makeRoom(ctx context.Context, a *archive.Archive, threads int) error {
	scarce, err := isScarce(a)
	if err != nil || !scarce {
		return err
	}
	return a.Trash.Empty(ctx, threads)
}

// isScarce reports whether little space is left.
func isScarce(a *archive.Archive) (bool, error) {
	space, err := a.FileSystem()
	if err != nil {
		return false, err
	}
	const little = 20 // one part in so many
	return space.Free < space.Total/little || space.Inodes != 0 && space.FreeInodes < space.Inodes/little, nil
}

// emptyTrash frees the space of removed snapshots, after the run and without its lock. A cancelled run leaves that to
// the next one; a failed run may have failed for lack of this space.
func (r *run) emptyTrash(err error) {
	if !r.published && !fsat.IsNoSpace(err) || r.ctx.Err() != nil || fault.IsCrash(err) {
		return
	}
	r.phase(archive.Emptying)
	err = r.step("empty")
	if err == nil {
		err = r.archive.Trash.Empty(r.ctx, r.opt.Threads)
	}
	if err != nil && r.ctx.Err() == nil && !fault.IsCrash(err) {
		r.report.Unfinished = append(r.report.Unfinished, err.Error())
	}
	r.phase(archive.Finished)
}
