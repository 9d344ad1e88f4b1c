package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What may come to be of a file or a folder of an archive.
const (
	missing = "missing"
	empty   = "an empty file"
	garbage = "garbage"
	folder  = "a folder"
	fifo    = "a FIFO"
	symlink = "a symbolic link"
)

const (
	healOld, healNew = "2026-11-20T000000Z", "2026-11-21T000000Z"
	healNote         = "readers/" + healOld + "-aaaaaaaaaaaaaaaa.json"
)

// healing says what commands make of a damaged part of an archive.
type healing struct {
	part   string // below .snapcopy, or a name in the archive if it begins with a slash
	reads  bool   // reading commands work
	writes bool   // so does snapshot
	mends  bool   // after which verify finds nothing
	not    string // what else holds for one kind of damage: it cannot be told from being as it should be
}

var healings = []healing{
	{part: "archive.json", reads: true, writes: true, mends: true},
	{part: "lock", reads: true, writes: true, mends: true},
	{part: "index", reads: true, writes: true, mends: true},
	{part: "space", reads: true, writes: true, mends: true},
	{part: "work", reads: true, writes: true, mends: true},
	{part: "trash", reads: true, writes: true, mends: true},
	{part: "runs", reads: true, writes: true, mends: true},
	{part: "runs/" + healNew + ".json", reads: true, writes: true, mends: true},
	{part: "pins/" + healOld + ".json", reads: true, writes: true, mends: true},
	{part: "/latest", reads: true, writes: true, mends: true},
	{part: "acknowledged.json", reads: true, writes: true, not: missing},
	{part: "forget.json", reads: true, writes: true, not: missing},
	{part: healNote, reads: true, writes: true, not: missing},
	{part: "pins", writes: true, not: missing},
	{part: "readers", reads: true, writes: true, not: missing},
	{part: "catalogs/" + healNew + ".cat", writes: true},
	{part: "catalogs"},
	{part: "/" + healNew, writes: true},
	{part: "/.snapcopy"},
}

// Whatever has become of a part of an archive, no command waits, nothing that a link leads to is changed, what is derived
// is made anew and told once, and all else is named with what settles it.
func TestDamagedPartsAreMadeAnewOrNamed(t *testing.T) {
	t.Parallel()
	base := healArchive(t)
	for _, h := range healings {
		kinds := []string{missing, empty, garbage, folder, fifo, symlink}
		if !strings.Contains(h.part, ".json") && !strings.Contains(h.part, ".cat") {
			kinds = []string{missing, garbage, fifo, symlink}
		}
		t.Run(strings.ReplaceAll(h.part, "/", "_"), func(t *testing.T) {
			t.Parallel()
			for _, kind := range kinds {
				t.Run(kind, func(t *testing.T) { h.try(t, base, kind) })
			}
		})
	}
}

// try damages a part of a copy of the archive, and goes through what people do then.
func (h healing) try(t *testing.T, base, kind string) {
	c := healCase{t: t, dir: t.TempDir()}
	c.copy(filepath.Join(base, "archive"), c.path("archive"))
	c.copy(filepath.Join(base, "source"), c.path("source"))
	part := c.path("archive", ".snapcopy", h.part)
	if strings.HasPrefix(h.part, "/") {
		part = c.path("archive", h.part)
	}
	outside := c.damage(part, kind)
	reads, writes, mends := h.reads || kind == h.not, h.writes || kind == h.not, h.mends || kind == h.not
	if h.part == "catalogs" && kind == missing {
		writes = true
	}
	for _, verb := range []string{"list", "stats"} {
		status, out := c.run(verb, "archive")
		if reads && status != 0 {
			t.Errorf("%s ends with %d:\n%s", verb, status, out)
		}
		c.named(h, status, out)
	}
	status, out := c.run("snapshot", "source", "archive")
	if writes && status != 0 && !(h.part == "/latest" && status == statusIncomplete) {
		t.Errorf("snapshot ends with %d:\n%s", status, out)
	}
	c.named(h, status, out)
	status, out = c.run("verify", "archive")
	if mends && status != 0 {
		t.Errorf("verify ends with %d:\n%s", status, out)
	}
	c.named(h, status, out)
	if mends {
		if status, again := c.run("snapshot", "-q", "source", "archive"); (status != 0 || again != "") && h.part != "/latest" {
			t.Errorf("it is told again, with %d:\n%s", status, again)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "outside" {
		t.Errorf("what the link leads to: %q, %v", text, err)
	}
}

// healArchive makes an archive of two snapshots in which there is everything that an archive can hold.
func healArchive(t *testing.T) string {
	c := healCase{t: t, dir: t.TempDir()}
	c.write("source/file", "content")
	c.now = "2026-11-20T00:00:00Z"
	c.must("snapshot", "-q", "source", "archive")
	c.write("source/other", "more")
	c.now = "2026-11-21T00:00:00Z"
	c.must("snapshot", "-q", "source", "archive")
	c.must("pin", "-q", "archive@"+healOld)
	c.must("stats", "archive")
	c.write("archive/.snapcopy/acknowledged.json", `{"snapshot":"`+healOld+`","time":"2026-11-20T00:00:00Z"}`)
	c.write("archive/.snapcopy/"+healNote, `{"snapshot":"`+healOld+`","host":"h","place":"/x"}`)
	return c.dir
}

type healCase struct {
	t   *testing.T
	dir string
	now string
}

func (c *healCase) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

func (c *healCase) write(path, text string) {
	c.t.Helper()
	err := os.MkdirAll(filepath.Dir(c.path(path)), 0o700)
	if err = errors.Join(err, os.WriteFile(c.path(path), []byte(text), 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *healCase) copy(from, to string) {
	c.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		c.t.Fatalf("cp: %v: %s", err, out)
	}
}

// damage puts something else in the place of a part, and returns a file that nothing may change.
func (c *healCase) damage(part, kind string) (outside string) {
	c.t.Helper()
	outside = c.path("outside")
	c.write("outside", "outside")
	err := os.RemoveAll(part)
	switch kind {
	case empty:
		err = errors.Join(err, os.WriteFile(part, nil, 0o600))
	case garbage:
		err = errors.Join(err, os.WriteFile(part, []byte("{garbage"), 0o600))
	case folder:
		err = errors.Join(err, os.Mkdir(part, 0o700), os.WriteFile(part+"/in", nil, 0o600))
	case fifo:
		err = errors.Join(err, syscall.Mkfifo(part, 0o600))
	case symlink:
		err = errors.Join(err, os.Symlink(outside, part))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return outside
}

// run runs snapcopy and returns its exit status and all that it says.
func (c *healCase) run(args ...string) (status int, out string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "snapcopy", args...)
	cmd.Dir = c.dir
	now := c.now
	if now == "" {
		now = "2026-11-22T00:00:00Z"
	}
	cmd.Env = append(os.Environ(), "SNAPCOPY_NOW="+now)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if ctx.Err() != nil {
		c.t.Errorf("%q waits for ever", args)
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

func (c *healCase) must(args ...string) {
	c.t.Helper()
	if status, out := c.run(args...); status != 0 {
		c.t.Fatalf("%q ends with %d: %s", args, status, out)
	}
}

// named makes sure that a command that does not end well names what is wrong and says what to do.
func (c *healCase) named(h healing, status int, out string) {
	c.t.Helper()
	if status == 0 {
		return
	}
	settles := strings.Contains(out, "`snapcopy ") || strings.Contains(out, "emove that file") || strings.Contains(out, "Hint:") ||
		strings.Contains(out, "Put the folder back") || strings.Contains(out, "damaged at byte")
	if !strings.Contains(out, strings.TrimPrefix(h.part, "/")) && !strings.Contains(out, healNew) || !settles {
		c.t.Errorf("status %d does not say what is wrong and what to do:\n%s", status, out)
	}
}
