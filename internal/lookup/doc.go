// Package lookup finds the entries of a catalog that a person names by their paths.
//
//   - Select looks up the paths of a restore; each becomes a Selected. TotalsOf sums them up.
//   - NotFound makes the error for a path that is not in the catalog, with the most similar paths that are.
//   - Nearest and NamedAlike find similar names in one folder and equal names in the whole catalog, for a question to
//     several catalogs.
//
// A proposal costs reading: NamedAlike reads records until it has found MaxNearest entries, at worst all.
package lookup
