// Package testtree builds trees of files from a small readable language and compares trees in everything that a
// snapshot promises to keep. It is test support: failures end the test.
//
// It shares no code with the program: it reads trees with plain system calls of its own, so that a mistake in the
// program's reading cannot hide a mistake in its writing. Trees are walked one folder handle at a time, so depth does
// not matter. Building and comparing work on Linux.
package testtree
