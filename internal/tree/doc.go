// Package tree describes, compares and opens one entry or one folder between a source, a disk and a catalog. A snapshot
// run, a restore, a verification and a comparison each ask the same few questions about them; the package has one answer
// to each.
//
//   - Which type of file is it? TypeOf and KindOf are the one table between the file system's kinds and the catalog's types.
//   - How does a catalog describe an inode? Describe.
//   - In which fields do two entries differ, or an entry and an inode? Diff, DiffStat, DiffStored; Unchanged decides
//     whether a run reads a file.
//   - Where is the walk, and is a folder still the one that was listed? Folder, of a Walk through one or several trees.
//   - Is a stored file there and sound? OpenStored, StoredError.
//
// The package knows no archive, run or user. It prints nothing, and reads no clock.
//
// Limits: content, extended attributes and the target of a symbolic link are not part of stat data; an entry has them
// only after a read.
package tree
