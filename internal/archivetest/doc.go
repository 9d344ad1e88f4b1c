// Package archivetest is for tests of what works on archives: a [Lab] has a source and an archive, takes snapshots of the one
// into the other, and knows what each of them was when it was published; a [Job] is a run or a removal in a process of its
// own, which can be killed, limited, or run as another user.
package archivetest
