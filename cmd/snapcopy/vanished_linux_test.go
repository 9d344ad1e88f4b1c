package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// A vanishing is a run during which a file system goes away, at a step.
type vanishing struct {
	t         *testing.T
	src, arch string
	disk      *testtree.Disk // nil: of the archive's own there is none
}

func newVanishing(t *testing.T, kind string) *vanishing {
	dir := t.TempDir()
	v := &vanishing{t: t, src: dir + "/src", arch: dir + "/arch"}
	if kind != "" {
		v.disk = testtree.NewDisk(t, kind, map[string]int64{"ext4": 64 << 20, "xfs": 320 << 20}[kind])
		v.arch = v.disk.Path + "/arch"
	}
	must(t, os.Mkdir(v.src, 0o755))
	testtree.Build(t, v.src, "file a 0644 random=5000:1\nfile b 0644 random=6000:2")
	return v
}

// run takes a snapshot. The file system goes away at the second call of a step.
func (v *vanishing) run(step string, vanish func() error) (rep *archive.Report, status int, told string) {
	v.t.Helper()
	calls := 0
	once := sync.OnceFunc(func() {
		if err := vanish(); err != nil {
			v.t.Error(err)
		}
	})
	opt := snapshot.Options{Threads: 1, Retries: 1, RetryWait: time.Millisecond, Fault: func(s string) error {
		if s == step {
			if calls++; calls == 2 || step != "create" {
				once()
			}
		}
		return nil
	}}
	a, _, errOut := testApp(v.t)
	a.archive, a.term.subject = v.arch, subject{what: "archive", path: v.arch}
	opt.Unrecorded = func(err error) { a.term.errorf("Unrecorded: %v", err) }
	rep, err := snapshot.Run(v.t.Context(), v.src, v.arch, opt)
	if err != nil {
		err = notPublished(v.t.Context(), err, rep)
	}
	return rep, finish(a, err), errOut.String()
}

func executed(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", args, err, out)
	}
	return nil
}

// Guards: if the archive goes away during a run, or becomes read-only, the last lines say so, and not that the next run goes
// on from a place that nobody sees. With the archive back, the next run goes on.
func TestArchiveVanishes(t *testing.T) {
	unmount := func(v *vanishing) error { return executed("umount", "-l", v.disk.Path) }
	away := func(v *vanishing) error { return os.Rename(v.arch, v.arch+".moved") }
	other := func(v *vanishing) error { // another archive comes into sight
		err := away(v)
		typed(v.t, "snapshot", "-q", v.src, v.arch)
		return err
	}
	powerCut := func(v *vanishing) error { return v.disk.CutPower(2) }
	readOnly := func(v *vanishing) error { return executed("mount", "-o", "remount,abort", v.disk.Path) }
	const gone, ro = "it can no longer be reached", "its file system is read-only"
	for _, c := range []struct {
		name, kind, step string
		vanish           func(v *vanishing) error
		want             string
	}{
		{"unmounted", "ext4", "create", unmount, gone},
		{"unmounted before the end", "ext4", "sync", unmount, gone},
		{"moved", "", "create", away, gone},
		{"another in its place", "", "catalog", other, gone},
		{"disk gone", "ext4", "create", powerCut, gone},
		{"xfs disk gone", "xfs", "sync", powerCut, gone},
		{"read-only", "ext4", "create", readOnly, ro},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVanishing(t, c.kind)
			typed(t, "snapshot", "-q", v.src, v.arch)
			testtree.Build(t, v.src, "file c 0644 random=5000:4\nfile d 0644 random=6000:5\nfile e 0644 random=7000:6")
			testtree.Settle()
			rep, status, told := v.run(c.step, func() error { return c.vanish(v) })
			if status != statusFailed || strings.Count(told, c.want) != 1 || !strings.Contains(told, "Hint: ") ||
				strings.Contains(told, "goes on from there") || strings.Contains(told, "Unrecorded") || !strings.Contains(told, "if that is there") {
				t.Errorf("status %d: %s", status, told)
			}
			switch {
			case v.disk != nil:
				v.disk.Remount("")
			default:
				must(t, os.RemoveAll(v.arch))
				must(t, os.Rename(v.arch+".moved", v.arch))
			}
			if _, err := os.Lstat(filepath.Join(v.arch, rep.Snapshot)); err == nil {
				t.Errorf("%s was published", rep.Snapshot)
			}
			for _, args := range [][]string{{"snapshot", "-q", v.src, v.arch}, {"verify", "-q", v.arch}} {
				if status, told := typed(t, args...); status != statusDone {
					t.Errorf("with the archive back, %q ends with %d: %s", args, status, told)
				}
			}
		})
	}
}

// Guards: a run whose archive goes away when the snapshot is published says so, too.
func TestArchiveVanishesAtTheEnd(t *testing.T) {
	v := newVanishing(t, "")
	rep, status, _ := v.run("run report", func() error { return os.Rename(v.arch, v.arch+".moved") })
	if status != statusDone || !strings.Contains(strings.Join(rep.Unfinished, "\n"), "it can no longer be reached") {
		t.Errorf("status %d, unfinished %q", status, rep.Unfinished)
	}
}

// Guards: of a source that goes away nothing counts as deleted: what was stored before is kept, and the run says so.
func TestSourceVanishes(t *testing.T) {
	testtree.NeedRoot(t)
	testtree.Need(t, "bindfs")
	v := newVanishing(t, "")
	below := v.src
	v.src = filepath.Dir(below) + "/mount"
	must(t, os.Mkdir(v.src, 0o755))
	var daemon *exec.Cmd
	mount := func() {
		daemon = exec.Command("bindfs", "-f", below, v.src)
		must(t, daemon.Start())
		for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Lstat(v.src + "/a"); err == nil {
				return
			}
			if time.Since(begin) > 20*time.Second {
				t.Skip("cannot mount here: bindfs did not begin")
			}
		}
	}
	end := func() error {
		err := daemon.Process.Kill()
		_ = daemon.Wait() // it was killed
		return err
	}
	mount()
	defer func() {
		_ = end() // mostly it has ended
		must(t, executed("umount", "-l", v.src))
	}()
	testtree.Build(t, below, "dir x 0755\nfile x/f 0644 random=5000:7\nfile x/g 0644 random=5000:8")
	if status, told := typed(t, "snapshot", "-q", v.src, v.arch); status != statusDone {
		t.Fatal(status, told)
	}
	for _, name := range []string{"a", "x/f", "x/g"} {
		must(t, os.WriteFile(filepath.Join(below, name), []byte("changed "+name), 0o644))
	}
	rep, _, told := v.run("create", end)
	if rep == nil || !rep.Incomplete || rep.Counts.Deleted > 0 || rep.Counts.Kept == 0 {
		t.Fatalf("%+v: %s", rep, told)
	}
	for _, name := range []string{"a", "b", "x/f", "x/g"} {
		if _, err := os.Lstat(filepath.Join(v.arch, rep.Snapshot, name)); err != nil {
			t.Error(err)
		}
	}
	status, told := typed(t, "snapshot", "-q", v.src, v.arch) // it is dead from the beginning now
	if status != statusFailed || !strings.Contains(told, v.src) {
		t.Errorf("status %d: %s", status, told)
	}
	if status, told := typed(t, "verify", "-q", v.arch); status != statusDone {
		t.Errorf("verify: %d, %s", status, told)
	}
}
