// Package outcome has the words in which a restore tells what became of the entries of a snapshot, whether it copies them
// out, writes them to a tar stream or mounts them.
//
//   - Item and Action tell the outcome for one entry, as soon as it is known.
//   - Failures collects a Failure for each entry that could not be restored or compared; FailureOf makes one. The counts
//     are exact, the list ends at MaxListed. Cause is the reason without the path.
//   - CatalogOnlyCounts counts the restored entries by the metadata that they lack.
//   - RestoreProgress counts the work while it goes on.
//
// The package restores nothing and prints nothing.
package outcome
