// Package snapshot takes one snapshot of a folder, or copies one from another archive: from opening source and archive
// to the rename that publishes the snapshot.
//
// [Run] mirrors a source folder into a new snapshot. A file that did not change becomes a hard link to the stored file
// of the previous snapshot, a moved file a link to the stored file with the same content hash and metadata; every
// other file is copied, and hashed in the same read. A snapshot becomes visible by one rename, after everything in it
// is on the disk: if Run fails, is cancelled, or the machine dies, there is no new snapshot, and every earlier one is
// unchanged. A file that cannot be read is listed in the [archive.Report], and the snapshot is marked incomplete. Runs
// are measured against the last good snapshot of the same source; an [archive.Tripwire] in the report says that a run
// looks wrong, and freezes pruning until a person acknowledges it. [Copy] does the same with a snapshot of another
// archive as the source.
//
// No stored file of a published snapshot is ever written to. Source and archive are walked by folder handles and leaf
// names, so that a symbolic link put into either leads nowhere else. Memory grows with the largest single folder, not
// with the number of files.
//
// Only Linux is implemented; on other systems Run fails with [errors.ErrUnsupported].
package snapshot
