// Package prune decides which snapshots of an archive to keep, computes the space that removing others frees, and
// removes them.
//
// Run does all of that, after it has finished an interrupted removal. Its parts can be used alone: a plan (Make) is a
// pure function of the snapshots, a policy and a Space, and looks at no clock, environment or archive; Measure finds
// which stored files the snapshots share. A Reason is a value; the words for it are the caller's.
//
// A plan never removes a snapshot that is pinned, needed by a reader, or in the future, nor the newest reliable one,
// nor one whose catalog is unusable. While a run looks wrong (a tripwire) and nobody has acknowledged it, Run removes
// nothing.
//
// Freed space is exact for hard links: a stored file counts as freed only if no remaining snapshot has it. Blocks that
// the file system shares between files by itself (reflinks) count for each file.
package prune
