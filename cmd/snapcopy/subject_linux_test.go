package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/archive"
)

// Guards: whatever fails, the mail that a nightly script makes of stderr names the archive by its whole path: in each error
// and warning, and in the first line of any other. Hints can be typed as they are.
func TestMailNamesArchive(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, arch string)
		typed   string
		status  int
	}{
		{"no source", nil, "snapshot none A", statusFailed},
		{"source is a file", nil, "snapshot src/f A", statusFailed},
		{"no pattern file", nil, "snapshot --exclude-from none src A", statusFailed},
		{"source in the archive", nil, "snapshot A A", statusFailed},
		{"log", nil, "snapshot --log src/f/log src A", statusDone},
		{"pattern", nil, "snapshot --exclude a[ src A", statusDone},
		{"tripwire", emptySource, "snapshot src A", statusTripwire},
		{"earlier tripwire", func(t *testing.T, arch string) {
			emptySource(t, arch)
			typed(t, "snapshot", "src", arch)
		}, "prune --keep-last 1 A", statusTripwire},
		{"locked snapshot", lockIt, "snapshot src A", statusLocked},
		{"locked pin", lockIt, "pin A", statusLocked},
		{"locked, waiting", lockIt, "index rebuild --lock-wait 300ms A", statusLocked},
		{"no archive", removeIt, "list A", statusFailed},
		{"no archive to prune", removeIt, "prune --keep-last 1 A", statusFailed},
		{"no archive required", removeIt, "snapshot --require-archive src A", statusFailed},
		{"no snapshot", nil, "ls A@2001-01-01", statusFailed},
		{"no snapshot to remove", nil, "remove -y A 2001-01-01T000000Z", statusFailed},
		{"no path to list", nil, "ls A none", statusFailed},
		{"no path to print", nil, "cat A none", statusFailed},
		{"no path to explain", nil, "explain A none", statusFailed},
		{"no version", nil, "versions A none", statusFailed},
		{"no path to restore", nil, "restore A none --to target", statusFailed},
		{"no path to forget", nil, "forget-path -y A none", statusFailed},
		{"target in the archive", nil, "restore A --to A/x", statusFailed},
		{"target is a file", nil, "restore A --to src/f", statusFailed},
		{"catalog damaged, list", damage("catalogs"), "list A", statusDamage},
		{"catalog damaged, ls", damage("catalogs"), "ls A", statusDamage},
		{"catalog damaged, verify", damage("catalogs"), "verify A", statusDamage},
		{"catalog damaged, restore", damage("catalogs"), "restore A --to target", statusDamage},
		{"catalog damaged, find", damage("catalogs"), "find A f", statusDamage},
		{"catalog lost", func(t *testing.T, arch string) { lose(t, arch, "catalogs") }, "ls A", statusFailed},
		{"records lost", func(t *testing.T, arch string) { must(t, os.RemoveAll(filepath.Join(arch, archive.MetaDir))) }, "list A", statusFailed},
		{"catalogs are a file", func(t *testing.T, arch string) {
			path := filepath.Join(arch, archive.MetaDir, archive.CatalogsDir)
			must(t, errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)))
		}, "pin A", statusFailed},
		{"pinned", func(t *testing.T, arch string) { typed(t, "pin", arch) }, "remove -y --allow-last A latest", statusIncomplete},
		{"last one", nil, "remove -y A latest", statusFailed},
		{"mistyped", nil, "list A@latest", statusUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			arch := filepath.Join(dir, "backups", "etc")
			must(t, errors.Join(os.Mkdir("backups", 0o700), os.Mkdir("src", 0o700), os.WriteFile("src/f", []byte("x"), 0o600)))
			if status, told := typed(t, "snapshot", "src", arch); status != statusDone {
				t.Fatal(told)
			}
			if c.prepare != nil {
				c.prepare(t, arch)
			}
			args := strings.Fields(c.typed)
			for i, a := range args {
				if rest, is := strings.CutPrefix(a, "A"); is {
					args[i] = "backups/etc" + rest // relative: the whole path has to come from the program
				}
			}
			status, told := typed(t, args...)
			if status != c.status && !(c.status == statusFailed && status == statusDamage) {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			for i, line := range strings.Split(strings.TrimSuffix(told, "\n"), "\n") {
				alone := slices.ContainsFunc(toldAlone, func(begin string) bool { return strings.HasPrefix(line, begin) })
				if (alone || i == 0 && line != "" && !strings.HasSuffix(line, " snapshots.")) && !strings.Contains(line, arch) {
					t.Errorf("no archive in %q of:\n%s", line, told)
				}
				if strings.HasPrefix(line, "Hint: ") && strings.Contains(line, "ARCHIVE") {
					t.Errorf("a hint that cannot be typed: %q", line)
				}
			}
			if c.status != statusDone && c.name != "catalog damaged, verify" && told == "" {
				t.Error("nothing was told")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func emptySource(t *testing.T, _ string) { must(t, os.Remove("src/f")) }

func removeIt(t *testing.T, arch string) { must(t, os.RemoveAll(arch)) }

func lockIt(t *testing.T, arch string) {
	a, err := archive.Open(arch)
	must(t, err)
	lock, err := a.Lock()
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(lock.Unlock(), a.Close())) })
}

// lose removes the files in a folder of .snapcopy.
func lose(t *testing.T, arch, dir string) {
	files, err := filepath.Glob(filepath.Join(arch, archive.MetaDir, dir, "*"))
	must(t, err)
	for _, f := range files {
		must(t, os.Remove(f))
	}
}

// damage cuts the files in a folder of .snapcopy short.
func damage(dir string) func(t *testing.T, arch string) {
	return func(t *testing.T, arch string) {
		files, err := filepath.Glob(filepath.Join(arch, archive.MetaDir, dir, "*"))
		must(t, err)
		for _, f := range files {
			must(t, os.Truncate(f, 100))
		}
	}
}
