package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// buildTree fills b.tree with entries of the sources.
func (b *bench) buildTree() error {
	left := b.files
	for _, source := range b.sources {
		source, err := filepath.Abs(source)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(source, b.scratch); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return fmt.Errorf("the scratch folder %s is inside the source %s", b.scratch, source)
		}
		to := b.tree
		if len(b.sources) > 1 {
			to = filepath.Join(b.tree, strings.ReplaceAll(strings.Trim(source, "/"), "/", "-"))
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		names, err := list(source, left)
		if err != nil {
			return err
		}
		if err := b.copyNamed(source, names, to); err != nil {
			return err
		}
		if left -= len(names); b.files > 0 && left <= 0 {
			return nil
		}
	}
	if left > 0 {
		note("the source has %d entries, fewer than the %d wanted", b.files-left, b.files)
	}
	return nil
}

// list names the entries below root, folders before what is in them; the first n of them if n > 0. Names are relative.
func list(root string, n int) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, "./"+name)
		if len(names) == n {
			return fs.SkipAll
		}
		return err
	})
	return names, err
}

// copyNamed copies just the entries named, with everything tar can keep. What vanishes or cannot be read is left out.
func (b *bench) copyNamed(from string, names []string, to string) error {
	all := []string{"--xattrs", "--xattrs-include=*", "--acls", "--sparse"}
	pack := exec.CommandContext(b.ctx, "tar", append(all, "-C", from, "--no-recursion", "--ignore-failed-read",
		"--null", "--verbatim-files-from", "-T", "-", "-c")...)
	unpack := exec.CommandContext(b.ctx, "tar", append(all, "-C", to, "-xp")...)
	pack.Stdin = strings.NewReader(strings.Join(names, "\x00"))
	pipe, err := pack.StdoutPipe()
	if err != nil {
		return err
	}
	unpack.Stdin = pipe
	var packSays, unpackSays bytes.Buffer
	pack.Stderr, unpack.Stderr = &packSays, &unpackSays
	if err := errors.Join(pack.Start(), unpack.Run(), pack.Wait()); err != nil {
		return fmt.Errorf("copy of %s: %w\n%s\n%s", from, err,
			lastLines(packSays.String(), 5), lastLines(unpackSays.String(), 5))
	}
	return nil
}

// settled waits after the source was changed until that is durable, and until no program has to treat a file as one
// that may change again within the same tick of the clock: that does not happen between two nights.
func (b *bench) settled() error {
	_, err := b.run("sync", "-f", b.tree)
	return errors.Join(err, b.pause(b.settle))
}

func (b *bench) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

// facts are what is known of the tree before anything is changed in it.
type facts struct {
	entries, folders int
	bytes            int64
	regular          []string // paths of regular files, sorted
	large            folder   // what is renamed
}

type folder struct {
	path  string
	bytes int64
}

// survey looks at the whole tree. The large folder is the one at the top with the most bytes, but no more than half.
func survey(root string) (facts, error) {
	var f facts
	top := map[string]int64{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		f.entries++
		if e.IsDir() {
			f.folders++
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f.regular = append(f.regular, path)
		f.bytes += info.Size()
		rel, err := filepath.Rel(root, path)
		if first, _, ok := strings.Cut(rel, "/"); ok {
			top[first] += info.Size()
		}
		return err
	})
	for name, size := range top {
		f.large = f.better(f.large, folder{filepath.Join(root, name), size})
	}
	slices.Sort(f.regular)
	return f, err
}

// better chooses between two folders, in whatever order they come: first those of no more than half of all bytes, then the
// larger, then the first by name.
func (f *facts) better(a, b folder) folder {
	fits := func(x folder) bool { return x.bytes <= f.bytes/2 }
	switch {
	case a.path == "" || fits(b) && !fits(a):
		return b
	case fits(a) && !fits(b):
		return a
	case b.bytes > a.bytes || b.bytes == a.bytes && b.path < a.path:
		return b
	}
	return a
}

// warm reads the whole tree once.
func warm(root string) error {
	buf := make([]byte, 1<<20)
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(io.Discard, struct{ io.Reader }{f}, buf)
		return errors.Join(err, f.Close())
	})
}

// onePercent appends to every hundredth file: other ones in each of a hundred rounds.
func onePercent(b *bench, round int) error {
	for _, path := range hundredth(b.facts.regular, round) {
		if err := makeWritable(path); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "changed in round %d\n", round)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func makeWritable(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&0o200 != 0 {
		return err
	}
	return os.Chmod(path, info.Mode()|0o200)
}

func hundredth(paths []string, round int) []string {
	var some []string
	for i := round % 100; i < len(paths); i += 100 {
		some = append(some, paths[i])
	}
	return some
}

// empty frees the space of a result that shares no file with others, but not its inodes: see the package comment.
func empty(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return errors.Join(makeWritable(path), os.Truncate(path, 0))
	})
}

// renameFolder renames the large folder; in the next round, back.
func renameFolder(b *bench, round int) error {
	if b.facts.large.path == "" {
		return errors.New("the tree has no folder to rename")
	}
	here, there := b.facts.large.path, b.facts.large.path+".moved"
	if round%2 == 0 {
		here, there = there, here
	}
	return os.Rename(here, there)
}
