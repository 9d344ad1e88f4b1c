package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"snapcopy/internal/exclude"
)

// checkPatterns looks for patterns that were written as paths of the file system, although patterns are relative to a
// source: they begin with typed, the source as the person gave it, or with one of its absolute paths. has reports
// whether the source has a path with the beginning of such a pattern: then the pattern may be meant as it is. A
// pattern of the command line that begins with an absolute path is refused; for other patterns, which can be meant for
// several sources, there are warnings.
func checkPatterns(m *exclude.Matcher, typed string, absolute []string, has func(path string) bool) (warnings []string,
	err error) {
	seen := make(map[string]bool)
	for _, path := range append(absolute, typed) {
		if has(path) {
			continue
		}
		for _, p := range m.Misplaced(path) {
			rule := p.Rule.String()
			if seen[rule] {
				continue
			}
			seen[rule] = true
			text := fmt.Sprintf("%s matches nothing: patterns begin at the source, %s; ", printable(rule), name(path))
			if p.Right == "" {
				text += "the source itself cannot be left out"
			} else {
				right := p.Rule
				right.Pattern = p.Right
				text += "to leave that out: " + printable(right.String())
			}
			if p.Rule.Line == 0 && filepath.IsAbs(path) {
				return nil, wrongUsage("%s", text)
			}
			warnings = append(warnings, text)
		}
	}
	return warnings, nil
}

// checkPatternsOf is checkPatterns for a folder.
func checkPatternsOf(m *exclude.Matcher, folder string) (warnings []string, err error) {
	abs, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	absolute := []string{abs}
	if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs { // otherwise opening it will say so
		absolute = append(absolute, real)
	}
	return checkPatterns(m, filepath.Clean(folder), absolute, func(path string) bool {
		_, err := os.Lstat(filepath.Join(abs, path))
		return err == nil || strings.HasPrefix(path, "..") || path == "."
	})
}
