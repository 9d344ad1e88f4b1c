package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/history"
)

type findOptions struct {
	types         []string
	sizes         []string
	after, before string
	anyCase       bool
	long          bool
	json          bool
}

func findCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "find ARCHIVE [PATTERN...]",
		Short: "Search all snapshots",
		Long: `Print every path that matches a PATTERN in some snapshot, with the first and the last snapshot in which it does.
Patterns are written as in .gitignore files: a pattern without a slash is compared with names, any other with
whole paths from the top of the snapshot; ** stands for any number of folders; a slash at the end matches
folders only; a pattern that begins with ! takes back matches of the patterns before it. Without PATTERN, every
entry matches that the flags select.

TIME is a date or a time ("2026-11-20", "2026-11-20 18:00") or an age ("3d", "12h"); a date means its midnight,
so that --modified-after 2026-11-20 --modified-before 2026-11-21 finds the changes of one day.`,
		Example: `  snapcopy find /backup/documents '*.odt'
  snapcopy find /backup/documents 'letters/**/draft*' '!*.bak'
  snapcopy find /backup/documents --type file --size +1GiB --modified-after 30d`,
	}, new(findOptions), mayBeDone, mayFail, mayFindDamage)
	completeFlag(c, "type", findTypes)
	return c
}

func (o *findOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringSliceVar(&o.types, "type", nil, "`TYPE` of entry: "+strings.Join(findTypes, ", ")+" (can be repeated)")
	f.StringArrayVar(&o.sizes, "size", nil,
		"files of this `SIZE` (4096; 1.5GiB), +SIZE: at least, -SIZE: at most (can be repeated)")
	f.StringVar(&o.after, "modified-after", "", "modified at or after `TIME`")
	f.StringVar(&o.before, "modified-before", "", "modified before `TIME`")
	f.BoolVarP(&o.anyCase, "ignore-case", "i", false, "letters match whatever their case")
	f.BoolVarP(&o.long, "long", "l", false, "with mode, owner, group, size and modification time in the last snapshot")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// findTypes are the words for --type, in the order of the types.
var findTypes = []string{"file", "dir", "symlink", "fifo", "socket", "char", "block"}

// query turns the flags into a query.
func (o *findOptions) query(a *app, patterns []string) (q history.Query, err error) {
	q.Patterns, q.FoldCase = withPrinted(patterns), o.anyCase
	for _, word := range o.types {
		t := index.Type(0)
		for i, w := range findTypes {
			if w == word {
				t = index.Type(i + 1)
			}
		}
		if t == 0 {
			return q, wrongUsage("--type %s: TYPE is one of %s", name(word), strings.Join(findTypes, ", "))
		}
		q.Types = append(q.Types, t)
	}
	for _, text := range o.sizes {
		if err := addSize(&q, text); err != nil {
			return q, err
		}
	}
	if o.after != "" {
		from, _, err := a.timeSpan("--modified-after", o.after)
		if err != nil {
			return q, err
		}
		q.After = &index.Time{Sec: from.Unix(), Nsec: uint32(from.Nanosecond())}
	}
	if o.before != "" {
		from, _, err := a.timeSpan("--modified-before", o.before)
		if err != nil {
			return q, err
		}
		q.Before = &index.Time{Sec: from.Unix(), Nsec: uint32(from.Nanosecond())}
	}
	return q, nil
}

// withPrinted replaces a pattern that is a name in quotes, as snapcopy prints it, by the name.
func withPrinted(patterns []string) []string {
	list := slices.Clone(patterns)
	for i, p := range list {
		if printed, err := strconv.Unquote(p); err == nil && name(printed) == p {
			list[i] = strings.NewReplacer( // a space matters at the end, "!" and "#" at the beginning
				`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `!`, `\!`, `#`, `\#`, ` `, `\ `).Replace(printed)
		}
	}
	return list
}

// addSize reads +1M, -10K or 4096.
func addSize(q *history.Query, text string) error {
	digits := strings.TrimLeft(text, "+-")
	var n uint64
	if digits != "0" {
		parsed, err := parseSize(digits)
		if err != nil || len(text)-len(digits) > 1 {
			return wrongUsage("--size %s: not a size like 4096, +1.5GiB or -10K", name(text))
		}
		n = uint64(parsed)
	}
	if text[0] != '-' {
		q.MinSize = &n
	}
	if text[0] != '+' {
		q.MaxSize = &n
	}
	return nil
}

// Run searches the snapshots.
func (o *findOptions) Run(ctx context.Context, a *app, args []string) error {
	q, err := o.query(a, args[1:])
	if err != nil {
		return err
	}
	return a.withHistory(ctx, args[0], func(h *history.History) error {
		found := uint64(0)
		err := h.Find(ctx, q, func(m history.Match) error {
			found++
			return o.print(a, &m)
		})
		if errors.Is(err, history.ErrPattern) {
			return wrongUsage("%w", err)
		}
		if err == nil && !o.json {
			a.term.errorf("%s in %s.", counted(found, "match", "matches"), counted(uint64(h.Len()), "snapshot", "snapshots"))
		}
		return err
	})
}

func (o *findOptions) print(a *app, m *history.Match) error {
	if o.json {
		e := entryJSON(m.Path, m.Entry)
		return a.printJSON("match", matchObject{e.Path, m.First, m.Last, m.Snapshots, e})
	}
	shown := entryName(m.Path, m.Entry.Type)
	if o.long {
		shown = a.longLine(shown, m.Entry)
	}
	return a.printf("%-18s  %-18s  %s\n", m.First, m.Last, shown)
}
