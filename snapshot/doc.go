// Package snapshot takes one snapshot of a folder: from opening source and archive to the rename that publishes it.
//
// [Run] mirrors a source folder into a new snapshot. A file that did not change is a hard link to the stored file of the
// previous snapshot, a moved one a link to the stored file with the same content hash and metadata; all else is copied,
// hashed in the same read. A snapshot becomes visible by one rename, after everything in it is on the disk: if Run fails,
// is cancelled, or the machine dies, there is no new snapshot, and every earlier one is as it was. A file that cannot be
// read is listed in the [archive.Report], which then is incomplete. Runs are measured against the last good snapshot of the
// same source; an [archive.Tripwire] in the report says that a run looks wrong, and freezes pruning until it is acknowledged.
//
// No stored file that a published snapshot holds is ever written to. Source and archive are walked by directory handles and
// leaf names, so that a symbolic link put into either leads nowhere else. Memory grows with the largest single directory,
// not with the number of files.
//
// Only Linux is implemented; elsewhere Run fails with [errors.ErrUnsupported].
package snapshot
