// Package snapshot keeps an archive: it takes snapshots of a folder, publishes them, proves them, and removes them.
//
// [Run] mirrors a source folder into a new snapshot. A file that did not change is a hard link to the stored file of the
// previous snapshot, a moved one a link to the stored file with the same content hash and metadata; all else is copied,
// hashed in the same read. A snapshot becomes visible by one rename, after everything in it is on the disk: if Run fails,
// is cancelled, or the machine dies, there is no new snapshot, and every earlier one is as it was. A file that cannot be
// read is listed in the [Report], which then is incomplete. Runs are measured against the last good snapshot of the same
// source; a [Tripwire] in the report says that one looks wrong, and freezes pruning until [Archive.Acknowledge].
//
// An [Archive] opens without a lock and without changing anything. Whatever changes it takes the lock ([Archive.Lock]),
// first finishes what an earlier command had begun when it was cut short, and makes anew what is derived and missing.
// [Archive.Select] finds the snapshot that a person means, [Snapshot.Hold] keeps it while it is read. [Archive.Verify]
// compares every entry and byte with the catalogs, [Archive.Remove] removes snapshots, [Archive.ForgetPath] takes a path
// out of all of them.
//
// No stored file that a published snapshot holds is ever written to. The one exception to immutable snapshots is
// ForgetPath. Source and archive are walked by directory handles and leaf names, so that a symbolic link put into
// either leads nowhere else. Memory grows with the largest single directory, not with the number of files.
//
// Only Linux is implemented; elsewhere every call fails with [errors.ErrUnsupported]. The files of an archive are
// written down in docs/format.md; catalogs and the content-hash index are those of package index.
package snapshot
