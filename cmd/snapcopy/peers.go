package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagAnswers say what to type instead of flags that snapcopy does not have, but other programs do, or earlier versions
// did. The first that fits counts.
var flagAnswers = []struct {
	commands string // of snapcopy for which it is the answer; "": all
	flags    string
	hint     string
}{
	{"restore", "--instant", "`snapcopy instant ARCHIVE[@SNAPSHOT] MOUNTPOINT` makes a snapshot usable at once"},
	{"restore", "--settle", "`snapcopy settle MOUNTPOINT` makes an ordinary folder of an instant restore"},
	{"restore", "--tar --zstd", "`snapcopy tar ARCHIVE[@SNAPSHOT] [PATH...]` writes a tar archive to stdout; --zstd compresses it"},
}

// unknownFlag is the answer to a mistake in the flags of a command.
func unknownFlag(c *cobra.Command, err error) error {
	usage := &usageError{command: c.CommandPath(), err: err}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage
	}
	flag := "--" + unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		flag = "-" + unknown.GetSpecifiedName()
	}
	for _, a := range flagAnswers {
		if slices.Contains(strings.Fields(a.flags), flag) && (a.commands == "" || slices.Contains(strings.Fields(a.commands), c.Name())) {
			usage.hint = a.hint
			break
		}
	}
	return usage
}
