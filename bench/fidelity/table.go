package main

import (
	"fmt"
	"strings"
)

// line is a row of the table with its cells.
type line struct {
	title string
	cells []string
}

// used says which version of a tool was measured, and how.
type used struct {
	name, version string
	commands      []string
}

// columns are the headings of the cells, in the order of the tools.
func columns() (names []string) {
	for _, t := range tools {
		if t.mirror {
			names = append(names, t.name+": the folder", t.name+": restored")
		} else {
			names = append(names, t.name)
		}
	}
	return names
}

// render writes the two tables in Markdown.
func render(lines []line, programs []used, machine string) string {
	var s strings.Builder
	s.WriteString("| tool | version | commands |\n|---|---|---|\n")
	for _, u := range programs {
		fmt.Fprintf(&s, "| %s | %s | %s |\n", u.name, u.version, "`"+strings.Join(u.commands, "`<br>`")+"`")
	}
	fmt.Fprintf(&s, "\n%s\n\n", machine)
	fmt.Fprintf(&s, "| what | %s |\n|---|%s\n", strings.Join(columns(), " | "), strings.Repeat("---|", len(columns())))
	for _, l := range lines {
		fmt.Fprintf(&s, "| %s | %s |\n", l.title, strings.Join(l.cells, " | "))
	}
	return s.String()
}
