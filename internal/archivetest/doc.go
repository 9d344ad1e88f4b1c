// Package archivetest is for tests of packages that work on archives. A [Lab] has a source and an archive, takes
// snapshots of the source, and remembers the state of each at its publishing; a [Job] is a run or a removal in a
// process of its own, which can be killed, limited, or run as another user.
package archivetest
