package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// render writes rows as a table in Markdown. Ratios are those of the medians.
func render(rows []row) string {
	var s strings.Builder
	s.WriteString("| work | program | median | min–max | CPU | memory | ÷ floor | rsync ÷ it | new content |\n")
	s.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %s | %.2f s | %.2f–%.2f s | %.2f s | %s | %s | %s | %s |\n", r.work, r.program,
			median(r.seconds), slices.Min(r.seconds), slices.Max(r.seconds), median(r.cpu), megabytes(r.memory),
			ratio(median(r.seconds), reference(rows, r.work, "floor")),
			ratio(reference(rows, r.work, "rsync"), median(r.seconds)), content(r))
	}
	return s.String()
}

func median[T int64 | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// reference is the median of a family of programs in one work, or 0 if it has not done it.
func reference(rows []row, work, family string) float64 {
	for _, r := range rows {
		if r.work == work && strings.HasPrefix(r.program, family) {
			return median(r.seconds)
		}
	}
	return 0
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func megabytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}

// content says how much new content a result has, found by comparing inodes with the results before, and what the
// program itself says where that is something else.
func content(r row) string {
	if r.stored == nil {
		return "–"
	}
	text := size(median(r.stored))
	if len(r.reported) > 0 && median(r.reported) != median(r.stored) {
		text += " (by its own report " + size(median(r.reported)) + ")"
	}
	return text
}

func size(n int64) string { return humanize.Bytes(uint64(n)) }

// machine says in one line what was measured where.
func (b *bench) machine() (string, error) {
	kernel, err := b.run("uname", "-sr")
	if err != nil {
		return "", err
	}
	kind, err := b.run("df", "--output=fstype", b.scratch)
	if err != nil {
		return "", err
	}
	cores := "cores"
	if cpu, ok := procField("/proc/cpuinfo", "model name"); ok {
		cores += " (" + cpu + ")"
	}
	line := fmt.Sprintf("%d %s, %s, %s; %s entries (%s of them folders, %s) of %s; warm caches, %d rounds, %d workers",
		runtime.NumCPU(), cores, strings.TrimSpace(string(kernel)), lastLines(string(kind), 1),
		humanize.Comma(int64(b.facts.entries)), humanize.Comma(int64(b.facts.folders)), size(b.facts.bytes),
		strings.Join(b.sources, " and "), b.rounds, b.workers)
	if b.rsync != "" {
		line += ", rsync " + b.rsync
	}
	return line + fmt.Sprintf("; the folder moved contains %s.", size(b.facts.large.bytes)), nil
}

// procField is the value of the first "name : value" line of a file.
func procField(path, name string) (string, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
