// Package prune decides which snapshots of an archive to keep, knows what removing others frees, and removes them.
//
// Run does all of that. Its parts can be used alone: a plan (Make) is a pure function of the snapshots, a policy and a Space, and
// nothing in it looks at a clock, the environment or an archive; Measure counts which snapshots hold what.
//
// No snapshot that is pinned, needed, in the future, or the newest one that can be relied on is ever planned to go, nor is one of
// which it is not known what it holds. While a run looks wrong (a tripwire) and nobody has acknowledged that, nothing is removed.
package prune
