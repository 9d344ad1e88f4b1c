// Package testarchive helps tests of packages that read archives: a [Builder] makes trees with everything that is hard to
// copy, [Describe] gives a tree a line for each entry, a [Model] of a snapshot becomes a catalog without any file, and
// [AsUser] runs a test without privileges. Failures end the test.
package testarchive
