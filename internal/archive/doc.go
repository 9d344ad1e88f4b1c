// Package archive is what an archive holds and what may be done to it apart from taking a snapshot: its layout, its lock, the
// snapshots and the words by which a person selects one, pins and readers, run reports, tripwires, the trash, removing and
// forgetting, and making up for whatever was cut short.
//
// An [Archive] opens without a lock and without changing anything. Whatever changes it takes the lock ([Archive.Lock]),
// first finishes what an earlier command had begun when it was cut short ([Archive.Recover]), and makes anew what is derived
// and missing. [Archive.Select] finds the snapshot that a person means, [Snapshot.Hold] keeps it while it is read.
// [Archive.Remove] removes snapshots, [Archive.ForgetPath] takes a path out of all of them, [Archive.Acknowledge] says that a
// run with a [Tripwire] was as it should be.
//
// No stored file that a published snapshot holds is ever written to. The one exception to immutable snapshots is
// ForgetPath. There is never a snapshot without its catalog: what a process that died has left is told apart by names, and
// each step of removing and recovering can be done twice.
//
// Only Linux is implemented; elsewhere every call fails with [errors.ErrUnsupported]. The files of an archive are
// written down in docs/format.md; catalogs and the content-hash index are those of package index.
package archive
