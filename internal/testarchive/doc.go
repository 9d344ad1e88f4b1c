// Package testarchive is for tests of packages that read a snapshot: a [Builder] makes trees with everything that is hard
// to copy, [Take] takes a snapshot of one, [Describe] gives a tree a line for each entry, a [Model] of a snapshot becomes
// a catalog without any file, and [AsUser] runs a test without privileges. Failures end the test. Tests of an archive's
// history, or of what writes to it, have package archivetest.
package testarchive
