// Package tree is about one entry and one folder between a source, a disk and a catalog. A snapshot run, a restore, a
// verification and a comparison each ask the same few questions of them; here is the one answer to each.
//
//   - What kind of file is it? TypeOf and KindOf are the one table between the file system's kinds and the catalog's types.
//   - What does the catalog say of an inode? Describe.
//   - Where is the walk, and is that still the folder that was listed? Folder, of a Walk through one or several trees.
//
// Nothing here knows an archive, a run or a user. Nothing prints, or reads a clock.
//
// Limits: an entry of a catalog does not say what only reading tells (content, extended attributes, the target of a
// symbolic link) before somebody has read that, and stat does not tell it at all.
package tree
