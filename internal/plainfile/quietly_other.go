//go:build !unix

package plainfile

const quietly = 0
