package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"snapcopy/internal/lookup"
)

// Problem is a fault of a job file.
type Problem struct {
	Path   string
	Line   int // from 1; 0: it is about the whole file
	What   string
	Around []string // lines of the file with their numbers, and a mark below the place
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Path + ": " + p.What
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.What)
}

// Problems are the faults of a file, in the order of its lines.
type Problems []*Problem

// Sort puts the faults into the order of the lines.
func (l Problems) Sort() {
	slices.SortStableFunc(l, func(a, b *Problem) int { return a.Line - b.Line })
}

func (l Problems) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

var (
	// secretLine is a line with the value of a key that may be a secret.
	secretLine = regexp.MustCompile(`(?i)^(.*?(?:passw|secret|token|api_?key)[\w."'-]*\s*=)(.*)$`)

	oneText   = regexp.MustCompile(`^\s*("[^"]+"|'[^']+'|[\w.+:-]+)\s*(#.*)?$`) // a value that ends in its line
	tableLine = regexp.MustCompile(`^\s*\[+[\w.-]+\]+\s*(#.*)?$`)
)

const notShown = " (not shown)"

// withoutSecrets returns the lines from first to last, from 1, for a message. From the first value on that may be a secret
// nothing is shown: it can have further lines, and a table further values.
func withoutSecrets(lines []string, first, last int) (shown []string) {
	hides := false
	for i, line := range lines[:last] {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", " ")
		parts, isShown := secretLine.FindStringSubmatch(line), i+1 >= first
		switch {
		case hides && (isShown || !tableLine.MatchString(line)):
			if line != "" {
				line = strings.TrimSpace(notShown)
			}
		case parts != nil:
			line, hides = parts[1]+notShown, isShown || !oneText.MatchString(parts[2])
		default:
			hides = false
		}
		if isShown {
			shown = append(shown, line)
		}
	}
	return shown
}

// maxShown is the number of bytes of a line that are shown.
const maxShown = 160

func newProblem(path string, lines []string, at place, what string) *Problem {
	p := &Problem{Path: path, Line: at.line, What: what}
	if at.line < 1 || at.line > len(lines) {
		return p
	}
	width := len(strconv.Itoa(min(at.line+1, len(lines))))
	first := max(at.line-1, 1)
	for i, text := range withoutSecrets(lines, first, min(at.line+1, len(lines))) {
		n := first + i
		if len(text) > maxShown {
			text = strings.ToValidUTF8(text[:maxShown], "") + "..."
		}
		if text == "" && n != at.line {
			continue
		}
		p.Around = append(p.Around, strings.TrimRight(fmt.Sprintf("  %*d | %s", width, n, text), " "))
		if n == at.line && at.column > 0 && at.column <= len(text) {
			end := min(at.column-1+at.width, len(text))
			p.Around = append(p.Around, fmt.Sprintf("  %*s | %s%s", width, "", strings.Repeat(" ", columns(text[:at.column-1])),
				strings.Repeat("^", max(1, columns(text[at.column-1:end])))))
		}
	}
	return p
}

// columns counts the letters of a text.
func columns(text string) int { return len([]rune(text)) }

// word makes a text of a file safe and clear in a message.
func word(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == ' ' }) {
		return s
	}
	return strconv.Quote(s)
}

// orNearest proposes the names that are near to a wrong one; otherwise is the proposal if none is.
func orNearest(wrong string, names []string, otherwise string) string {
	if secret.MatchString(wrong) {
		return "; a secret does not belong into this file, but into one that it names"
	}
	near := lookup.NearestOf(slices.Values(names), wrong)
	if len(near) == 0 {
		return otherwise
	}
	return "; is it " + strings.Join(near[:min(len(near), 3)], " or ") + "?"
}
