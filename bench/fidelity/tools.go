package main

import (
	"regexp"
	"strconv"
	"strings"
)

// tool is a program that is measured, and how it is used. In its commands SRC, STORE and OUT are the source, a folder
// for its backups and the folder to restore into; N is the number of the backup, PREV of the one before, LATER how many
// there are after it. What is in square brackets is left out if the program's help does not know it. A command that
// begins with "cd DIR && " runs in that folder.
type tool struct {
	name    string
	program string
	version string // command
	setup   string // before the first backup; may be empty
	first   string
	next    string // empty: as first
	restore string
	inside  bool // restores SRC with its whole path below OUT
	mirror  bool // its backups are folders in STORE/archive, measured in a column of their own
}

var tools = []tool{
	{
		name: "snapcopy", program: "snapcopy", version: "snapcopy version", mirror: true,
		first:   "snapcopy snapshot SRC STORE/archive",
		restore: "snapcopy restore STORE/archive@latest~LATER --to OUT [--flags]",
	},
	{
		name: "rsync", program: "rsync", version: "rsync --version",
		first:   "rsync -aHAXS --numeric-ids SRC/ STORE/N/",
		next:    "rsync -aHAXS --numeric-ids --link-dest=STORE/PREV/ SRC/ STORE/N/",
		restore: "rsync -aHAXS --numeric-ids STORE/N/ OUT/",
	},
	{
		name: "cp -a", program: "cp", version: "cp --version",
		first:   "cp -aT SRC STORE/N",
		restore: "cp -aT STORE/N OUT",
	},
	{
		name: "tar", program: "tar", version: "tar --version",
		first:   "tar -c --xattrs --xattrs-include=* --acls --sparse --numeric-owner -f STORE/N.tar -C SRC .",
		restore: "tar -xp --xattrs --xattrs-include=* --acls --sparse --numeric-owner -f STORE/N.tar -C OUT",
	},
	{
		name: "borg", program: "borg", version: "borg --version",
		setup:   "borg init -e none STORE/repo",
		first:   "cd SRC && borg create --numeric-ids STORE/repo::N .",
		restore: "cd OUT && borg extract --numeric-ids --sparse STORE/repo::N",
	},
	{
		name: "restic", program: "restic", version: "restic version",
		setup:   "restic -r STORE/repo init",
		first:   "restic -r STORE/repo backup --tag N SRC",
		restore: "restic -r STORE/repo restore latest --tag N --target OUT [--sparse]",
		inside:  true,
	},
}

// command is one that can be run.
type command struct {
	dir  string // empty: anywhere
	argv []string
}

// place is what stands for the words in capitals.
type place struct {
	src, store, out string
	n, of           int // this backup, of so many
}

// fill makes a command of a line; knows tells of an option in square brackets whether the program has it.
func fill(line string, p place, knows func(program, verb, option string) bool) command {
	replace := strings.NewReplacer("SRC", p.src, "STORE", p.store, "OUT", p.out, "PREV", strconv.Itoa(p.n-1),
		"LATER", strconv.Itoa(p.of-p.n), "N", strconv.Itoa(p.n))
	var c command
	words := strings.Fields(line)
	if words[0] == "cd" {
		c.dir, words = replace.Replace(words[1]), words[3:]
	}
	for _, w := range words {
		if option, ok := strings.CutPrefix(w, "["); ok {
			option = strings.TrimSuffix(option, "]")
			if !knows(words[0], verb(words[1:]), option) {
				continue
			}
			w = option
		}
		c.argv = append(c.argv, replace.Replace(w))
	}
	return c
}

// verb is the first of some arguments that is no option and no option's value.
func verb(args []string) string {
	for i, a := range args {
		if !strings.HasPrefix(a, "-") && (i == 0 || args[i-1] != "-r") {
			return a
		}
	}
	return ""
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// shortVersion takes the number out of what a program says of itself.
func shortVersion(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	program, _, _ := strings.Cut(line, ",")
	if number := versionNumber.FindString(program); number != "" {
		return number
	}
	return strings.TrimSpace(program)
}
