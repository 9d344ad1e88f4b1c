// Package verify proves that an archive still agrees with its catalogs.
//
// [Run] compares each snapshot with its catalog: every entry has to exist with the recorded type, metadata, extended
// attributes and links, no other entry may exist, and every content has to have the recorded hash. Run also checks the
// catalogs and the content-hash index themselves, and the archive as a whole: snapshots without a catalog, catalogs
// without a snapshot, and the findings of [archive.Archive.Findings].
//
// Run changes nothing, not even access times where that can be avoided, and takes no lock: other runs and removals go
// on meanwhile. It holds a snapshot while reading it. A stored file that many names and snapshots share is read once.
// Damage and failures to look are told apart: a missing permission or a dead mount proves nothing about the data.
//
// Entries and metadata that the catalog marks [index.CatalogOnly] are not damage, nor is the extended attribute that a
// security module sets on every file by itself. Memory grows with the largest single folder, the depth of the tree
// times the number of workers, and two bytes a stored file.
package verify
