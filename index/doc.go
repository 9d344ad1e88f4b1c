// Package index reads and writes the two files that describe an archive's content: one catalog for each snapshot, and
// one content-hash index for the whole archive.
//
// A catalog is an immutable file with the complete metadata of every entry of one snapshot, as a Merkle tree of
// directory records. [Writer] writes one as a stream, [Open] reads one. Damage is reported before it can give a wrong
// answer: every block has a checksum, and [Catalog.Check] proves the whole file.
//
// The content-hash index maps the hash of a content to the stored files with that content. [Builder] makes it from the
// additions of a run and the previous index, [Rebuild] from the catalogs alone, and [OpenIndex] reads it. It is
// derived data: without it, moved files are copied instead of linked, and nothing else changes.
//
// Memory does not grow with the number of entries, only with the largest single directory. A Catalog caches up to 4
// MiB of decompressed blocks; an Index takes 8 bytes for every 85 stored files.
//
// The package does not lock and does not look at stored files: callers see to both. Both formats are written down to
// the byte in docs/format.md.
package index
