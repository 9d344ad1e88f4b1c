// Package archive implements an archive, except for taking a snapshot.
//
// [Create] makes an [Archive]. [Open] opens it without a lock and without changing anything. A command that changes it
// takes the lock ([Archive.Lock] returns a [Locked]), which also makes missing derived files anew, and first finishes
// interrupted commands ([Locked.Recover], [Archive.Finish]).
//
//   - Layout: [Meta] is the folder .snapcopy, [Info] its file archive.json with the [Capabilities] of the file system,
//     a [Finding] a fault in it that a person has to resolve. [Usage] and [TopMode] are about the folder as a whole.
//   - Snapshots: a [Snapshot] has its name from its time ([NameAt], [ParseName]). [Archive.Select] finds the
//     snapshot that a person means. [Snapshot.Open] opens it to be read ([OpenSnapshot]).
//   - Readers: [Snapshot.Hold] protects a snapshot while it is read; a [Reader] is a note that does so for longer, a
//     [Pin] protects it until a person takes it away.
//   - Runs: [Reports] reads and writes the [Report] of each run, with its [CatalogOnly], [FailedItem], [LeftOutItem],
//     [Altered] and [Origin]. [Lineage] finds the snapshots to compare a run with. [Coverage] is that comparison,
//     from which [Tripwires] draws the conclusions; [Archive.Acknowledge] accepts a run with a [Tripwire]. A [Judge]
//     tells how far a snapshot can be relied on: its [Standing]. [Progress] counts while a run or another job goes on.
//   - Removing: [Archive.Remove] and [Archive.RemoveSelected] (of a [Selection]) move snapshots into the [Trash] and
//     return a [RemoveReport]. [Archive.ForgetPath] takes a path out of all snapshots and returns a [ForgetReport];
//     [Archive.ForgetMeant] does so for a path as a person writes it, its [Meaning].
//
// Meta, Reports, Readers, Trash, the pins and the link to the newest snapshot know .snapcopy and not the archive.
//
// No stored file of a published snapshot is ever written to. The one exception to immutable snapshots is ForgetPath.
// No snapshot is ever without its catalog: names tell which step a dead process has reached, and each step of removing
// and recovering can be done twice.
//
// Only Linux is implemented; on other systems every call fails with [errors.ErrUnsupported]. The files of an archive
// are written down in docs/format.md; catalogs and the content-hash index are those of package index.
package archive
