package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// subject is the absolute path of the archive that a command is about; "": none is known. Mail from a nightly script has
// nothing but the lines on stderr, so that each error and each warning has to name the archive.
type subject string

// subjectOf finds the archive in the arguments of a command.
func subjectOf(c *cobra.Command, args []string) subject {
	for i, word := range argWords(c) {
		if i >= len(args) || !strings.HasPrefix(strings.Trim(word, "[]"), "ARCHIVE") {
			continue
		}
		place, _, err := splitPlace(args[i])
		if err != nil {
			return ""
		}
		if abs, err := filepath.Abs(place); err == nil {
			return subject(abs)
		}
	}
	return ""
}

// toldAlone are the beginnings of lines that can be all that a person gets to read.
var toldAlone = []string{"snapcopy: ", "Warning: "}

// in names the archive in a line that begins as an error or a warning does, unless the line names it.
func (s subject) in(line string) string {
	for _, begin := range toldAlone {
		if rest, is := strings.CutPrefix(line, begin); is {
			return begin + s.of(rest)
		}
	}
	return line
}

// of names the archive at the beginning of a message, unless the message names it.
func (s subject) of(message string) string {
	if s == "" || strings.Contains(message, printable(string(s))) || strings.Contains(message, name(string(s))) {
		return message
	}
	return "archive " + name(string(s)) + ": " + message
}

var archiveWord = regexp.MustCompile(`\bARCHIVE\b`)

// typed puts the path of the archive into a hint, so that its command can be typed as it is.
func (s subject) typed(hint string) string {
	if s == "" {
		return hint
	}
	return archiveWord.ReplaceAllLiteralString(hint, shellWord(string(s)))
}
