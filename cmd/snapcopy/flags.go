package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxThreads is more than any disk or processor can use.
const maxThreads = 256

func addThreads(f *pflag.FlagSet, threads *int) {
	f.IntVarP(threads, "threads", "j", 0, "work with `N` threads (default: one for each processor)")
}

func checkThreads(n int) error {
	if n < 0 || n > maxThreads {
		return wrongUsage("--threads must be between 1 and %d, or 0 for one for each processor", maxThreads)
	}
	return nil
}

// checkLeafNames makes sure that each name is that of an entry in a folder, not a path.
func checkLeafNames(names []string) error {
	for _, n := range names {
		if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\x00") {
			return wrongUsage("--exclude-if-present: %q is not the name of a file", n)
		}
	}
	return nil
}

// completeFlag makes shells complete the value of a flag of c.
func completeFlag(c *cobra.Command, flag string, values []string) {
	complete := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag
	}
}

// completeFolder makes shells complete the value of a flag of c with folders.
func completeFolder(c *cobra.Command, flag string) {
	if err := c.MarkFlagDirname(flag); err != nil {
		panic(err) // there is no such flag
	}
}
