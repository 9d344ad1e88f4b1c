// Package prune decides which snapshots of an archive to keep, and knows what removing others frees.
//
// A plan is a pure function of the snapshots, a policy and a Space: nothing in it looks at a clock, the environment or an
// archive. Carrying it out is the business of package snapshot, which owns the archive.
package prune
