// Package repair mends what is damaged in an archive.
//
// [Run] gets names that somebody has found damaged, looks at each again, and restores those whose catalog says what they
// were. A file gets content with the recorded hash, and only that, from another stored file of the archive, from another
// archive, or from the source; the content is hashed while it is copied. Everything else of an entry is in its catalog.
//
// No stored file is written to. A new inode, with all metadata of the entry, takes the place of a damaged one in every
// snapshot that has it ([archive.Locked.Exchange]). If a sound stored file of the same record exists, it is linked instead.
// Only the metadata of folders, which belong to one snapshot each, are set in place.
//
// [RebuildCatalog] makes a lost or damaged catalog anew from the snapshot's folder.
//
// Memory grows with the number of damaged names, not with that of files.
package repair
