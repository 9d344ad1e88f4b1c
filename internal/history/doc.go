// Package history answers questions from the catalogs of an archive: how two snapshots differ, or a snapshot and a
// live folder; which versions a path has had, across renames; where a name or a content is found; and why a file is,
// or is not, shared with the previous snapshot.
//
// [Compare] walks two catalogs side by side, [CompareLive] a catalog and a folder of today; [Tally] sums up the
// changes of either by folder. [History] has the catalogs of all snapshots open: [History.Versions] follows one path
// through them, [History.Find] searches them all. [Explainer] explains the entries of one snapshot. [Glob] finds the
// paths of a snapshot that match a pattern.
//
// Nothing is written, to the archive or to the folder. Stored files are not opened, because catalogs have all the
// answers; only CompareLive reads files, those of the live folder. A folder that is equal in several snapshots has the
// same hash in their catalogs, and is read once. An unusable catalog does not end a question about all snapshots: the
// answer names the snapshot as [Unusable].
//
// Memory is bounded by the largest single folder and by the depth of the tree. Further memory, to find moves or to
// sort changes, has a limit; the comments of the functions say what happens beyond it.
package history
