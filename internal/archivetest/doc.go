// Package archivetest is for tests of packages that write archives. A [Lab] has a source and an archive, takes
// snapshots of the source, and remembers the state of each at its publishing; a [Job] is a run or a removal in a
// process of its own, which can be killed, limited, or run as another user. Tests that only read a snapshot have package
// testarchive.
package archivetest
