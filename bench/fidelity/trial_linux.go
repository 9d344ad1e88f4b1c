package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// trial is one row with one tool.
type trial struct {
	*lab
	tool *tool
	row  *row
	disk string
	exit string // first exit status that was not 0, as the table tells it
}

// run builds the tree, backs it up, restores and compares. It returns one cell, or two for a tool whose backups are
// folders to look into.
func (t *trial) run() (cells []string, err error) {
	p := place{src: t.disk + "/src", store: t.disk + "/store", of: 1}
	if t.row.change != nil {
		p.of = 2
	}
	if err := errors.Join(os.Mkdir(p.src, 0o755), os.Mkdir(p.store, 0o755)); err != nil {
		return nil, err
	}
	m := &maker{root: p.src}
	defer func() { err = errors.Join(err, m.done()) }()
	if t.tool.setup != "" {
		if ended, err := t.command(t.tool.setup, p); err != nil || ended != "" {
			return []string{ended}, err
		}
	}
	want, ended, err := t.backUp(m, p)
	if err != nil || ended != "" {
		return []string{ended}, err
	}
	return t.compare(want, p)
}

// backUp builds the tree and backs it up, and again after the row's change. It returns the tree as it was each time.
func (t *trial) backUp(m *maker, p place) (want []tree, ended string, err error) {
	steps := []func(*maker){t.row.build, t.row.change}[:p.of]
	for i, step := range steps {
		if i > 0 { // so that a tool which compares times in whole seconds is not blamed for that
			time.Sleep(1100 * time.Millisecond)
		}
		if step(m); m.err != nil {
			return nil, "", m.err
		}
		w, err := look(p.src)
		if err != nil {
			return nil, "", err
		}
		want = append(want, w)
		p.n = i + 1
		text := t.tool.first
		if i > 0 && t.tool.next != "" {
			text = t.tool.next
		}
		if ended, err := t.command(text, p); err != nil || ended != "" {
			return nil, ended, err
		}
	}
	return want, "", nil
}

// compare returns the cells for the backups: whether the source, the tool's folders and the restored trees are as they
// should be.
func (t *trial) compare(want []tree, p place) (cells []string, err error) {
	if t.row.source {
		got, err := look(p.src)
		return []string{t.judge([]tree{want[0]}, []tree{got})}, err
	}
	if t.tool.mirror {
		got, err := lookAtMirrors(p.store + "/archive")
		if err != nil {
			return nil, err
		}
		cells = append(cells, t.judge(want, got))
	}
	got, ended, err := t.restored(p)
	if ended == "" {
		ended = t.judge(want, got)
	}
	return append(cells, ended), err
}

// restored restores every backup into a folder of its own and looks at that.
func (t *trial) restored(p place) (got []tree, ended string, err error) {
	for p.n = 1; p.n <= p.of; p.n++ {
		p.out = fmt.Sprintf("%s/out%d", t.disk, p.n)
		if err := os.Mkdir(p.out, 0o755); err != nil {
			return nil, "", err
		}
		if ended, err := t.command(t.tool.restore, p); err != nil || ended != "" {
			return nil, ended, err
		}
		root := p.out
		if t.tool.inside {
			root += p.src
		}
		result, err := look(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
		got = append(got, result)
	}
	return got, "", nil
}

// command runs a line of the tool. ended is the cell's text if it had to be ended.
func (t *trial) command(text string, p place) (ended string, err error) {
	env := []string{"LC_ALL=C.UTF-8", "BORG_BASE_DIR=" + p.store, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
		"RESTIC_PASSWORD=fidelity", "RESTIC_CACHE_DIR=" + p.store + "/cache"}
	exit, done, err := t.tell(fill(text, p, t.knows), env)
	if exit != 0 && t.exit == "" {
		t.exit = fmt.Sprintf(", exit %d", exit)
	}
	if err == nil && !done {
		ended = fmt.Sprintf("not done in %.0f s", t.limit.Seconds())
	}
	return ended, err
}

// lookAtMirrors looks at every snapshot in an archive, in their order.
func lookAtMirrors(archive string) (trees []tree, err error) {
	entries, err := os.ReadDir(archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		got, err := look(filepath.Join(archive, e.Name()))
		if err != nil {
			return nil, err
		}
		trees = append(trees, got)
	}
	return trees, nil
}

// judge compares each backup with its expected content and gives the text of the cell.
func (t *trial) judge(want, got []tree) string {
	var found [][]part
	for i, w := range want {
		var g tree
		if i < len(got) {
			g = got[i]
		}
		if t.row.top {
			w, g = tree{".": w["."]}, tree{".": g["."]}
		}
		parts := compare(w, g, t.row.fields)
		if t.verbose {
			for _, p := range parts {
				if p.damaged() {
					fmt.Fprintf(os.Stderr, "    %s: backup %d: %+v\n", t.tool.name, i+1, p)
				}
			}
		}
		found = append(found, parts)
	}
	return verdict(merge(found)) + t.exit
}
