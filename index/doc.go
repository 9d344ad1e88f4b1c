// Package index keeps what an archive knows about its snapshots: one catalog for each snapshot, and one
// content-hash index for the whole archive.
//
// A catalog is an immutable file with the complete metadata of every entry of one snapshot, as a Merkle tree of
// directory records. [Writer] writes one as a stream, [Open] reads one. A damaged catalog is reported before it
// gives a wrong answer: every block is checksummed, [Catalog.Check] proves the whole.
//
// The content-hash index maps the hash of a content to the stored files that hold it. [Builder] makes it from the
// additions of a run and the index before, [Rebuild] from the catalogs alone; [OpenIndex] reads it. It is derived:
// without it moved files are copied instead of linked, nothing else.
//
// Memory does not grow with the number of entries, only with the largest single directory; a Catalog holds up to
// 4 MiB of decompressed blocks, and an Index 8 bytes for every 85 stored files.
//
// Both formats are written down to the byte in docs/format.md.
package index
