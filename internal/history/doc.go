// Package history answers questions from the catalogs of an archive: what differs between two snapshots, or between a
// snapshot and a live folder; which versions of a path there are, across renames; where names and contents are found; and
// why a file is, or is not, shared with the previous snapshot.
//
// [Compare] goes through two catalogs side by side, [CompareLive] through a catalog and a folder of today; [Tally] sums up
// the changes of either by folder. [History] holds the catalogs of all snapshots open: [History.Versions] follows one path
// through them, [History.Find] searches them all. [Explainer] explains the entries of one snapshot. [Glob] finds the paths
// of a snapshot that match a pattern.
//
// Nothing is written, to the archive or to the folder. Stored files are not opened: catalogs hold all that is asked for, and
// only CompareLive reads files, those of the live folder. A folder that is equal in several snapshots has the same hash in
// their catalogs, and is read once. A catalog that cannot be used does not end a question about all snapshots: the answer
// names the snapshot as [Unusable].
//
// Memory is bounded by the largest single folder and by the depth of the tree; what is kept beyond that to find moves, or to
// sort changes, is limited, and the comments of the functions say what happens beyond the limit.
package history
