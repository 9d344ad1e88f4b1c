package repair

// SetMaxBatch sets the number of names that are exchanged under one note, and returns the number before.
func SetMaxBatch(n int) (before int) {
	before, maxBatch = maxBatch, n
	return before
}
