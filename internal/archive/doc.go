// Package archive implements an archive, except for taking a snapshot: its layout, its lock, the snapshots and the
// selectors by which a person names one, pins and readers, run reports, tripwires, the trash, removing and forgetting,
// and recovery from interrupted commands.
//
// An [Archive] opens without a lock and without changing anything. A command that changes the archive takes the lock
// ([Archive.Lock] returns a [Locked]), which also makes missing derived files anew, and first finishes interrupted
// commands ([Locked.Recover]). [Archive.Select] finds the snapshot that a person means, [Snapshot.Hold] protects it
// while it is read. [Archive.Remove] removes snapshots, [Archive.ForgetPath] takes a path out of all of them, and
// [Archive.Acknowledge] accepts a run with a [Tripwire].
//
// An archive consists of parts that know .snapcopy ([Meta]) and not the archive: [Trash], [Reports], [Readers], pins and
// the link to the newest snapshot. A [Judge] tells how far a snapshot can be relied on.
//
// No stored file of a published snapshot is ever written to. The one exception to immutable snapshots is ForgetPath.
// No snapshot is ever without its catalog: names tell which step a dead process has reached, and each step of removing
// and recovering can be done twice.
//
// Only Linux is implemented; on other systems every call fails with [errors.ErrUnsupported]. The files of an archive
// are written down in docs/format.md; catalogs and the content-hash index are those of package index.
package archive
