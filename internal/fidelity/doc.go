// Package fidelity is tests alone: whatever a Linux system can store, a snapshot stores, later snapshots leave as it is,
// and a restore brings back. Each test goes through these three stages on ext4, xfs and btrfs, with the trees compared
// by package testtree, which shares no code with the program.
package fidelity
