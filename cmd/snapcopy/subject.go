package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// subject is what a command is about: an archive, or the mountpoint of an instant restore. Mail from a nightly script has
// nothing but the lines on stderr, so that each error and each warning has to name it.
type subject struct {
	what string // in messages
	path string // absolute; "": none is known
	job  string // whose step the command is; "": none
}

// subjectOf finds the subject in the arguments of a command.
func subjectOf(c *cobra.Command, args []string) subject {
	for i, word := range argWords(c) {
		if i >= len(args) {
			break
		}
		place, what := args[i], "mountpoint"
		switch word = strings.Trim(word, "[]"); {
		case strings.HasPrefix(word, "ARCHIVE"):
			var err error
			if place, _, err = splitPlace(place); err != nil {
				return subject{}
			}
			what = "archive"
		case word != "MOUNTPOINT":
			continue
		}
		if abs, err := filepath.Abs(place); err == nil {
			return subject{what: what, path: abs}
		}
	}
	return subject{}
}

// toldAlone are the beginnings of lines that can be all that a person gets to read.
var toldAlone = []string{"snapcopy: ", "Warning: "}

// in names the subject in a line that begins as an error or a warning does, unless the line has it.
func (s subject) in(line string) string {
	for _, begin := range toldAlone {
		if rest, is := strings.CutPrefix(line, begin); is {
			return begin + s.of(rest)
		}
	}
	return line
}

// of names the subject at the beginning of a message, unless the message has it, and the job.
func (s subject) of(message string) string {
	if s.path != "" && !strings.Contains(message, printable(s.path)) && !strings.Contains(message, name(s.path)) {
		message = s.what + " " + name(s.path) + ": " + message
	}
	if s.job != "" && !strings.HasPrefix(message, "job "+s.job+": ") {
		message = "job " + s.job + ": " + message
	}
	return message
}

var archiveWord = regexp.MustCompile(`\bARCHIVE\b`)

// typed puts the path of the archive into a hint, so that its command can be typed as it is.
func (s subject) typed(hint string) string {
	if s.what != "archive" {
		return hint
	}
	return archiveWord.ReplaceAllLiteralString(hint, shellWord(s.path))
}
