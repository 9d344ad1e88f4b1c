// Package journal is the record of what a run has stored before it publishes its snapshot. If the run is cut short, the
// next run of the same source finds by the journal which stored files it need not make again.
//
// A journal is a file of frames: a header, which says to which archive and source it belongs; a record for each new
// stored file, with its entry as the catalog would have it; records of files that are only copied in part; and
// checkpoints. All files recorded before the position in a checkpoint were on the disk when the checkpoint was written:
// they are proven. Other records may describe files whose content never reached the disk.
//
// Each frame has a checksum, and reading ends at the first frame that is damaged or cut short: a journal is appended to
// until its process dies. docs/format.md specifies the format to the byte.
//
// A [Table] finds records by path or by inode of the source. It lies in a file without a name, so that memory does not
// grow with the number of records.
package journal
