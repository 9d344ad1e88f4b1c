// Package verified remembers when the content of each stored file of an archive was last read and found equal to its
// hash, and which stored files were found damaged.
//
// The dates are in one file, derived from nothing but earlier checks: if the file is lost, damaged, or of another archive
// (an archive that was copied has other inodes), each stored file counts as never read back, which costs reading it again
// and nothing else. Whoever reads a stored file to its end and compares the hash may record that:
//
//	changes := verified.NewChanges(store.TempDir)
//	defer changes.Close()
//	changes.Add(verified.Record{Stored: ino, Tag: verified.TagOf(hash), Size: size, Time: begin.Unix(), Read: true})
//	err := store.Note(ctx, changes)
//
// A record belongs to an inode number and a part of the content's hash, so that another file with a reused inode number
// does not inherit the date. A file that was stored and never read back since has the time at which it was stored.
//
// The file is replaced in one step, under a lock of its own: the archive's lock is not needed, and several processes may
// record what they have read at the same time. Memory is bounded; records are sorted in temporary files.
//
// docs/format.md has the format.
package verified
