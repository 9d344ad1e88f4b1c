package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

// A meter reports the progress of some work; its functions are called during the work.
type meter struct {
	phase                    func() string
	files, bytes             func() uint64 // bytes nil: only files count
	moved                    func() uint64 // bytes read or written, for the speed; nil: bytes
	expectFiles, expectBytes func() uint64 // 0: nobody knows
	one, many                string        // name of the items counted as files; "": files
}

var phaseNames = map[archive.Phase]string{
	archive.Preparing: "Preparing", archive.Copying: "Copying", archive.Retrying: "Waiting to try again", archive.Syncing: "Writing to disk",
	archive.Publishing: "Publishing", archive.Emptying: "Giving back space", archive.Finished: "Finished",
	archive.Abandoning: "Removing the unfinished snapshot",
}

func runMeter(p *archive.Progress) meter {
	return meter{
		phase:       func() string { return phaseNames[archive.Phase(p.Phase.Load())] },
		files:       p.Files.Load,
		bytes:       p.Bytes.Load,
		moved:       p.Read.Load,
		expectFiles: p.ExpectFiles.Load,
		expectBytes: p.ExpectAll.Load,
	}
}

const (
	lookEvery = 500 * time.Millisecond
	lineEvery = 30 * time.Second // without a terminal; shorter runs print nothing
)

// progressFlag is the value of --progress: auto, never, or the time between two lines.
type progressFlag struct {
	never bool
	every time.Duration // 0: auto, unless never
}

func (v *progressFlag) Set(s string) error {
	switch s {
	case "auto":
		*v = progressFlag{}
		return nil
	case "never":
		*v = progressFlag{never: true}
		return nil
	}
	every, err := time.ParseDuration(s)
	if err != nil || every < time.Second {
		return fmt.Errorf("%q is not auto, never, or a time of a second or more like 30s", s)
	}
	*v = progressFlag{every: every}
	return nil
}

func (v *progressFlag) String() string {
	switch {
	case v.never:
		return "never"
	case v.every > 0:
		return v.every.String()
	}
	return "auto"
}

func (v *progressFlag) Type() string { return "WHEN" }

func (v *progressFlag) addTo(f *pflag.FlagSet) {
	f.Var(v, "progress", "show progress `WHEN`: auto, never, or a line each 10s (any time)")
}

// quietly is the flag of a command that may be quiet: then only lines that were asked for with a time are shown.
func (v progressFlag) quietly(quiet bool) progressFlag {
	if quiet && v.every == 0 {
		v.never = true
	}
	return v
}

// progress shows the progress of some work: as a bar on a terminal, or as a line now and then. A line is shown, too, each
// time that a.asked says so.
type progress struct {
	done chan struct{}
	once sync.Once
	wait sync.WaitGroup
}

// startProgress shows the progress of some work until stop is called.
func startProgress(a *app, m meter, how progressFlag) *progress {
	p := &progress{done: make(chan struct{})}
	line := func(v *view) { a.term.errorf("%s", v.line()) }
	every, show := max(how.every, lookEvery), line
	switch width := a.term.width(); {
	case how.never:
		show = func(*view) {}
	case how.every > 0:
	case width > 0:
		colour := os.Getenv("NO_COLOR") == ""
		show = func(v *view) { a.term.drawBar(v.bar(a.term.width(), colour)) }
	default:
		every = lineEvery
	}
	p.wait.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		v := newView(m, time.Now())
		v.look(v.begin)
		for shown := v.begin; ; {
			select {
			case <-p.done:
				a.term.drawBar("")
				select {
				case <-a.asked: // just now
					v.look(time.Now())
					line(v)
				default:
				}
				return
			case <-a.asked:
				v.look(time.Now())
				line(v)
			case now := <-ticker.C:
				v.look(now)
				if now.Sub(shown) >= every-lookEvery/2 {
					shown = now
					show(v)
				}
			}
		}
	})
	return p
}

func (p *progress) stop() {
	p.once.Do(func() { close(p.done) })
	p.wait.Wait()
}

// view has the last figures of a meter, and their speed.
type view struct {
	m       meter
	begin   time.Time
	now     time.Time
	phase   string
	files   uint64
	bytes   uint64
	moved   uint64
	done    float64 // 0 to 1; negative: nobody knows
	samples []sample
}

type sample struct {
	at    time.Time
	done  float64
	moved uint64
}

// maxSamples bounds the time for the speed: half a minute.
const maxSamples = 60

func newView(m meter, begin time.Time) *view {
	if m.one == "" {
		m.one, m.many = "file", "files"
	}
	return &view{m: m, begin: begin, now: begin, done: -1}
}

func (v *view) look(now time.Time) {
	v.now, v.phase, v.files = now, v.m.phase(), v.m.files()
	if v.m.bytes != nil {
		v.bytes = v.m.bytes()
		v.moved = v.bytes
	}
	if v.m.moved != nil {
		v.moved = v.m.moved()
	}
	v.done = v.fraction()
	v.samples = append(v.samples, sample{now, v.done, v.moved})
	if len(v.samples) > maxSamples {
		v.samples = v.samples[1:]
	}
}

// fraction weighs files and bytes alike: small files cost time by their number, large ones by their size. The source
// may have grown since, so the fraction never reaches the end by itself.
func (v *view) fraction() float64 {
	files := v.m.expectFiles()
	if files == 0 {
		return -1
	}
	part := min(float64(v.files)/float64(files), 1)
	if v.m.bytes == nil {
		return min(part, 0.999)
	}
	if bytes := v.m.expectBytes(); bytes > 0 {
		part = (part + min(float64(v.bytes)/float64(bytes), 1)) / 2
	}
	return min(part, 0.999)
}

// left estimates the time until the end from the recent speed; negative: too early to say.
func (v *view) left() time.Duration {
	known := slices.IndexFunc(v.samples, func(s sample) bool { return s.done >= 0 })
	if known < 0 {
		return -1
	}
	first, last := v.samples[known], v.samples[len(v.samples)-1]
	span, moved := last.at.Sub(first.at), last.done-first.done
	if span < 3*time.Second || moved <= 0 {
		return -1
	}
	left := (1 - v.done) / moved * span.Seconds()
	if left > 99*3600 {
		return -1
	}
	return time.Duration(left * float64(time.Second))
}

// speed returns the recent bytes a second; 0: nothing was measured, or nothing moves.
func (v *view) speed() uint64 {
	first, last := v.samples[0], v.samples[len(v.samples)-1]
	if s := last.at.Sub(first.at).Seconds(); s > 0 {
		return uint64(float64(last.moved-first.moved) / s)
	}
	return 0
}

// figures lists the figures to show, the most important first.
func (v *view) figures() []string {
	var list []string
	if n := v.m.expectFiles(); n > 0 {
		list = append(list, count(v.files)+" of "+counted(n, v.m.one, v.m.many))
	} else if v.files > 0 {
		list = append(list, counted(v.files, v.m.one, v.m.many))
	}
	when := clock(v.now.Sub(v.begin))
	if left := v.left(); left >= 0 {
		when = clock(left) + " left"
	}
	if v.m.bytes == nil {
		return append(list, when)
	}
	if v.m.expectFiles() > 0 {
		list = append(list, size(v.bytes)+" of "+size(v.m.expectBytes()))
	} else if v.bytes > 0 {
		list = append(list, size(v.bytes))
	}
	list = append(list, when)
	if speed := v.speed(); speed > 0 {
		list = append(list, size(speed)+"/s")
	}
	return list
}

// line returns the line for output without a terminal.
func (v *view) line() string {
	parts := append([]string{}, v.figures()...)
	if v.done >= 0 {
		parts = append([]string{fmt.Sprintf("%.0f %%", v.done*100)}, parts...)
	}
	return v.phase + ": " + strings.Join(parts, ", ")
}

const (
	barMost  = 30 // wider says no more
	barLeast = 10
)

// bar returns a bar of at most one line of a terminal: it drops figures, the least important first. Figures keep their
// places while they grow.
func (v *view) bar(width int, colour bool) string {
	room := width - 1 // writing the last column would wrap on some terminals
	begin, text := "", v.phase
	if v.done >= 0 {
		text += fmt.Sprintf(" %3.0f %%", v.done*100)
		if space := min(width/4, barMost); space >= barLeast {
			begin = drawn(v.done, space, colour) + "  "
			room -= space + 2
		}
	}
	for _, f := range v.figures() {
		if len(text)+2+len(f) > room {
			break
		}
		text += "  " + f
	}
	if len(text) > room {
		return text[:max(min(room, len(text)), 0)]
	}
	return begin + text
}

// drawn returns the bar itself, width columns wide.
func drawn(done float64, width int, colour bool) string {
	inner := width - 2
	full := int(done * float64(inner))
	filled, empty := strings.Repeat("#", full), strings.Repeat(".", inner-full)
	if colour && full > 0 {
		filled = "\x1b[32m" + filled + "\x1b[0m"
	}
	return "[" + filled + empty + "]"
}
