// Package verify proves that an archive still is what its catalogs say.
//
// [Run] compares each snapshot with its catalog: every entry has to exist with the recorded type, metadata, extended attributes
// and links, no other entry may exist, and every content has to have the recorded hash. It checks the catalogs and the
// content-hash index themselves, and what belongs to no single snapshot: snapshots without a catalog, catalogs without a
// snapshot, and what [archive.Archive.Findings] tells.
//
// Nothing is changed, not even access times where that can be helped, and no lock is taken: runs and removals go on meanwhile,
// and a snapshot is held while it is read. A stored file that many names and snapshots share is read once. Damage and what
// could not be looked at are told apart: a missing permission or a dead mount proves nothing about the data.
//
// What the archive's file system or the privileges of a run could not hold, as the catalog notes, is no damage; nor is what a
// security module puts on every file by itself. Memory grows with the largest single folder, the depth of the tree times the
// number of workers, and two bytes a stored file.
package verify
