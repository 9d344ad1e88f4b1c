package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"
)

// name makes a file name safe to print. Names of printable characters are shown unchanged; all others are quoted as Go
// strings, so that they cannot control the terminal or pass for two names.
func name(s string) string {
	plain := s != "" && utf8.ValidString(s) && s[0] != '"' && s[0] != ' ' && s[len(s)-1] != ' ' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// printable makes a message with any names in it safe to print.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// shellWord writes s as one word of a POSIX shell, for a command that a person is told to type. Bytes that cannot be
// printed are escaped in a form that bash, zsh and POSIX 2024 know.
func shellWord(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r))
	})
	if plain {
		return s
	}
	if printable(s) == s {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '\'' || c == '\\' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}

// count writes a number for people: 12,345.
func count(n uint64) string { return humanize.Comma(int64(n)) }

// counted writes a number with the right noun: 1 file, 2 files.
func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// size writes a number of bytes for people: 1.5 GiB.
func size(n uint64) string { return humanize.IBytes(n) }

// parseSize reads 1.5GiB, 100M or 4096.
func parseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > 1<<62 || strings.HasPrefix(strings.TrimSpace(s), "-") {
		return 0, fmt.Errorf("%q is not a size like 4096, 100M or 1.5GiB", s)
	}
	return int64(n), nil
}

// sizeFlag is the value of a flag that takes a size.
type sizeFlag int64

func (v *sizeFlag) Set(s string) error {
	n, err := parseSize(s)
	*v = sizeFlag(n)
	return err
}

func (v *sizeFlag) String() string {
	if *v == 0 {
		return ""
	}
	return size(uint64(*v))
}

func (v *sizeFlag) Type() string { return "SIZE" }

// shareFlag is the value of a flag that takes a share: 0, 5% or 0.5%.
type shareFlag float64

func (v *shareFlag) Set(s string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n >= 0 && n <= 100) || !percent && n != 0 {
		return fmt.Errorf("%q is not a share like 5%%, 100%% or 0", s)
	}
	*v = shareFlag(n / 100)
	return nil
}

func (v *shareFlag) String() string { return strconv.FormatFloat(float64(*v)*100, 'g', 6, 64) + "%" }

func (v *shareFlag) Type() string { return "SHARE" }

// duration writes a time span for people: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// clock writes a time span as 1:02:03 or 2:03.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// printTable prints rows as table lays them out. On a terminal that is too narrow it leaves out columns of spare,
// which has their titles in the first row, the first of the list first, and says which.
func (a *app) printTable(rows [][]string, spare []string, right ...bool) error {
	var left []string
	width, text := a.term.outWidth(), table(rows, right...)
	for _, title := range spare {
		if width == 0 || widest(text) <= width {
			break
		}
		if at := slices.Index(rows[0], title); at >= 0 {
			left = append(left, title)
			rows, right = withoutColumn(rows, at), slices.Delete(slices.Clone(right), at, min(at+1, len(right)))
			text = table(rows, right...)
		}
	}
	if err := a.printf("%s", text); err != nil {
		return err
	}
	if len(left) > 0 {
		a.term.errorf("Left out, as the terminal is too narrow: %s.", strings.Join(left, ", "))
	}
	return nil
}

func withoutColumn(rows [][]string, at int) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = row
		if at < len(row) {
			out[i] = slices.Delete(slices.Clone(row), at, at+1)
		}
	}
	return out
}

// screen measures the columns of text on a terminal: a Chinese letter takes two, an accent of its own none. It ignores
// the environment, so that the same archive is listed alike everywhere.
var screen = &runewidth.Condition{StrictEmojiNeutral: true}

// widest returns the number of columns of the longest line.
func widest(text string) int {
	most := 0
	for line := range strings.Lines(text) {
		most = max(most, screen.StringWidth(strings.TrimSuffix(line, "\n")))
	}
	return most
}

// table lays out rows in columns two spaces apart. right tells which columns are flush right.
func table(rows [][]string, right ...bool) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], screen.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-screen.StringWidth(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < len(right) && right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
