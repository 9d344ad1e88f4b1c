package archive

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Guards: whoever finds an archive locked learns which process has the lock, for what and since when, is asked what to do,
// and gets the lock when it is free; a process that has ended is never named.
func TestLockOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	a, err := CreateBy(Taker{Verb: "index rebuild"}, path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}()
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	_, err = b.Lock()
	var held *LockedError
	if !errors.As(err, &held) || !errors.Is(err, ErrLocked) || held.Archive != path || held.Owner.PID != os.Getpid() ||
		held.Owner.Host != host || held.Owner.Verb != "index rebuild" || time.Since(held.Owner.Since) > time.Minute {
		t.Errorf("%v, %+v", err, held)
	}
	asked, enough := 0, errors.New("enough")
	b.Taker.Held = func(*LockedError) error {
		if asked++; asked == 3 {
			return enough
		}
		return nil
	}
	if _, err := b.Lock(); err != enough || asked != 3 {
		t.Errorf("%v after %d questions", err, asked)
	}
	b.Taker.Held = func(*LockedError) error { return lock.Unlock() }
	mine, err := b.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Unlock(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(a.Meta.Path(LockFile)); err != nil || len(text) > 0 {
		t.Errorf("a free lock names %q, %v", text, err)
	}
}

// Guards: a lock file with another name, as of a copy made with hard links, or of a stored file, is a lock as before, and
// nothing is written into it.
func TestLockWithAnotherName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	a, err := Create(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, MetaDir, LockFile)
	if err := os.Link(file, file+"2"); err != nil {
		t.Fatal(err)
	}
	var held *LockedError
	if _, err := b.Lock(); !errors.As(err, &held) {
		t.Fatalf("two have the lock: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	stored := filepath.Join(t.TempDir(), "stored")
	err = errors.Join(os.Remove(file), os.Remove(file+"2"), os.WriteFile(stored, []byte("stored"), 0o640), os.Link(stored, file))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(stored)
	if err != nil {
		t.Fatal(err)
	}
	if lock, err = b.Lock(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lock(); !errors.As(err, &held) {
		t.Errorf("two have the lock: %v", err)
	}
	text, readErr := os.ReadFile(stored)
	if err := errors.Join(readErr, lock.Unlock(), a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(stored)
	if err != nil || string(text) != "stored" || string(after) != "stored" {
		t.Errorf("the stored file has %q, then %q, %v", text, after, err)
	}
	if st, err := os.Stat(stored); err != nil || st.Mode() != before.Mode() || !st.ModTime().Equal(before.ModTime()) {
		t.Errorf("the stored file was %v, is %v, %v", before, st, err)
	}
}

func TestLockOwnerText(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Skipf("needs true (package coreutils): %v", err)
	}
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, o := range []Owner{
		{os.Getpid(), host, "prune", at}, {os.Getpid(), host, "", at}, {1 << 30, "elsewhere", "forget-path", at},
	} {
		if got := ownerFrom(o.text()); got != o {
			t.Errorf("%q is read as %+v", o.text(), got)
		}
	}
	gone := Owner{ended.Process.Pid, host, "prune", at}
	for _, text := range []string{"", "process", "process 1 on x since yesterday", gone.text(), "process 99999999999999999999 on x since 2026-11-23T02:00:00Z"} {
		if got := ownerFrom(text); got.Known() {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func FuzzLockOwner(f *testing.F) {
	f.Add("process 12 on vm since 2026-11-23T02:00:00Z, snapcopy prune\n")
	f.Add("process 0 on  since 2026-11-23T02:00:00+01:00")
	f.Fuzz(func(t *testing.T, text string) {
		if o := ownerFrom(text); o.Known() {
			again := ownerFrom(o.text())
			if again.Known() && (again.PID != o.PID || again.Host != o.Host || again.Verb != o.Verb || !again.Since.Equal(o.Since)) {
				t.Errorf("%q: %+v, then %+v", text, o, again)
			}
		}
	})
}
