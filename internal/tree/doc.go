// Package tree describes, compares and opens one entry or one folder between a source, a disk and a catalog. A snapshot
// run, a restore, a verification and a comparison each ask the same few questions about them; the package has one answer
// to each.
//
//   - Which type of file is it? TypeOf and KindOf are the one table between the file system's kinds and the catalog's types.
//   - How does a catalog describe an inode? Describe.
//   - In which fields do two entries differ, or an entry and an inode? Diff for two entries, DiffStat for an entry and an
//     inode, DiffStored for a stored file. Each returns a set of Fields, which the caller masks by its question. Unchanged
//     is the rule by which a run does not read a file.
//     Differences and XattrDifference say it for people.
//   - How does an inode get the metadata of its entry, and which of them can it not take? Set, of a Setter, on an Inode;
//     DropXattrs removes extended attributes that the entry lacks.
//   - Where is the walk, and is a folder still the one that was listed? Folder, of a Walk through one or several trees.
//     Beside pairs the names of a listing with those of a record.
//   - Which names are hard links of one inode, and have all of them been seen? Links, by a GroupKey or any other key.
//   - Is a stored file present and sound? OpenStored, StoredError.
//
// Comparing allocates nothing: a run compares each name. Set changes only the inode that it is given, which the caller has
// made or is told to change; never a stored file of a published snapshot.
//
// The package knows no archive, run or user. It prints nothing, and reads no clock.
//
// Limits: content, extended attributes and the target of a symbolic link are not part of stat data; an entry has them
// only after a read.
package tree
