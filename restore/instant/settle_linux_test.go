package instant

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// manyFiles makes folders with files, enough for settling them to take a while.
func manyFiles(t *testing.T, source string) {
	t.Helper()
	b := testarchive.Builder{T: t, Root: source}
	for i := range 30 {
		for j := range 20 {
			b.File(fmt.Sprintf("d%d/e%d/f%d", i, j%3, j), fmt.Sprint("content ", i, j))
		}
		b.Link(fmt.Sprintf("d%d/e0/f0", i), fmt.Sprintf("links/%d", i))
		b.Check(os.Symlink("x", b.Path(fmt.Sprintf("d%d/symlink", i))))
	}
	b.Check(os.Chtimes(b.Path("links"), time.Unix(1, 0), time.Unix(1, 0)))
	testtree.Build(t, source, `
		file sparse 0644 "head" at=300000:tail hole=500000 mtime=5.55
		set d3 mtime=3.3
		set . mtime=4.4`)
}

// Guards: settling survives being killed at any moment, any number of times, and reboots in between.
func TestSettleKilled(t *testing.T) {
	testtree.NeedRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for kind, links := range map[string]int{"ext4": 0, "xfs": maxJoined} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t, kind, func(source string) {
				manyFiles(t, source)
				manyLinks(t, source, links)
			})
			want := s.restored()
			const script = `
				rm d1
				mv d2 links/d2
				write d4/e0/f0 changed
				set d4/e0/f0 mtime=1.1
				set links mtime=2.2
				set . mtime=3.3`
			s.instant()
			testtree.Build(t, s.at, script)
			testtree.Build(t, want, script)
			killed := 0
			for done := false; !done; {
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), settleEnv+"="+s.at)
				cmd.Stderr = os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				select {
				case err := <-ended:
					if done = err == nil; !done {
						t.Fatal(err)
					}
				case <-time.After(time.Duration(random.IntN(100+10*killed)) * time.Millisecond / 2):
					if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
						t.Fatal(err)
					}
					<-ended
					killed++
					if _, err := Read(s.at); errors.Is(err, ErrNotInstant) {
						done = true // killed after it was all over
					}
				}
				if !done && random.IntN(4) == 0 {
					s.reboot()
				}
			}
			t.Logf("killed %d times", killed)
			s.settled()
			s.same("settled", want)
			s.untouched()
		})
	}
}

// Guards: what is changed while it is being settled, in any way and at any place, is in the settled tree as it was.
func TestSettleWhileInUse(t *testing.T) {
	for _, links := range []int{0, maxJoined} {
		t.Run(fmt.Sprint(links, " links"), func(t *testing.T) { settleWhileInUse(t, links) })
	}
}

func settleWhileInUse(t *testing.T, links int) {
	s := newSite(t, "ext4", func(source string) {
		manyFiles(t, source)
		manyLinks(t, source, links)
	})
	want := s.restored()
	s.instant()
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	u := &user{t: t, trees: []string{s.at, want}, random: rand.New(rand.NewPCG(seed, 2)), stopped: make(chan struct{})}
	for i := range 30 {
		u.dirs = append(u.dirs, fmt.Sprintf("d%d", i))
	}
	go u.work()
	errAgain := errors.New("again")
	rounds := 0
	var r *SettleReport
	for err := errAgain; errors.Is(err, errAgain); {
		r, err = Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Threads: 2, Fault: func(step string) error {
			switch {
			case step == "unmount" && rounds < 4:
				rounds++
				return errAgain
			case step == "unmount":
				u.stop()
			}
			return nil
		}})
		if err != nil && !errors.Is(err, errAgain) {
			u.stop()
			t.Fatal(err)
		}
	}
	t.Logf("%d changes, %+v", u.done.Load(), r)
	if u.done.Load() < 50 {
		t.Error("hardly anything was changed meanwhile")
	}
	s.settled()
	s.sameWithout("settled", want, testtree.Mtime|testtree.Holes)
	s.untouched()
}

// Guards: what is removed, or removed and made anew, just while the kernel copies it, is no failure.
func TestSettleWhileFilesGo(t *testing.T) {
	const files = 600
	name := func(i int) string { return fmt.Sprintf("f%03d", i) }
	s := newSite(t, "ext4", func(source string) {
		for i := range files {
			if err := os.WriteFile(filepath.Join(source, name(i)), make([]byte, 20_000), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
	s.instant()
	copying := make(chan int, files) // in the order of the names, because one worker does it
	var group sync.WaitGroup
	group.Go(func() {
		for i := range copying {
			path := filepath.Join(s.at, name(i))
			err := os.Remove(path)
			if err == nil && i%2 == 0 {
				err = os.WriteFile(path, []byte("new"), 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	next := 0
	r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Threads: 1, Fault: func(step string) error {
		switch {
		case step == "copy" && next < files:
			copying <- next
			next++
		case step == "unmount" && copying != nil:
			close(copying)
			group.Wait()
			copying = nil
		}
		return nil
	}})
	if copying != nil {
		close(copying)
		group.Wait()
	}
	if err != nil || r.FailedCount > 0 || !r.Settled {
		t.Fatalf("%v, %+v", err, r)
	}
	s.settled()
	for i := range files {
		text, err := os.ReadFile(filepath.Join(s.at, name(i)))
		if i%2 == 0 && string(text) != "new" || i%2 == 1 && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %q, %v", name(i), text, err)
		}
	}
	s.untouched()
}

// user makes the same changes to two trees.
type user struct {
	t       *testing.T
	trees   []string
	dirs    []string // where they are by now
	random  *rand.Rand
	quit    atomic.Bool
	done    atomic.Int64
	stopped chan struct{}
}

func (u *user) stop() {
	u.quit.Store(true)
	<-u.stopped
}

func (u *user) work() {
	defer close(u.stopped)
	for n := 0; !u.quit.Load(); n++ {
		do := u.change(n)
		for _, tree := range u.trees {
			if err := do(func(name string) string { return filepath.Join(tree, name) }); err != nil {
				u.t.Errorf("change %d in %s: %v", n, tree, err)
				return
			}
		}
		u.done.Add(1)
	}
}

// change picks one.
func (u *user) change(n int) func(in func(string) string) error {
	i := u.random.IntN(len(u.dirs))
	dir := u.dirs[i]
	sub := filepath.Join(dir, fmt.Sprintf("e%d", u.random.IntN(3)))
	file := filepath.Join(dir, fmt.Sprintf("e%d/f%d", n%3, n%3+3*u.random.IntN(6)))
	fresh := filepath.Join(dir, fmt.Sprint("new", n))
	switch u.random.IntN(7) {
	case 0: // a folder moves, with all that is in it
		to := fmt.Sprint("moved", n)
		u.dirs[i] = to
		return func(in func(string) string) error { return os.Rename(in(dir), in(to)) }
	case 1:
		return func(in func(string) string) error {
			f, err := os.OpenFile(in(file), os.O_WRONLY|os.O_APPEND, 0)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(f, "appended ", n)
			return errors.Join(err, f.Close())
		}
	case 2:
		return func(in func(string) string) error { return os.WriteFile(in(fresh), fmt.Append(nil, n), 0o640) }
	case 3:
		return func(in func(string) string) error {
			if err := os.Remove(in(file)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}
	case 4:
		return func(in func(string) string) error {
			if err := os.Rename(in(file), in(fresh)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}
	case 5: // a folder is replaced
		return func(in func(string) string) error {
			err := errors.Join(os.RemoveAll(in(sub)), os.Mkdir(in(sub), 0o711))
			return errors.Join(err, os.WriteFile(in(sub+"/only"), nil, 0o600))
		}
	}
	return func(in func(string) string) error {
		if err := os.Link(in(file), in(fresh)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
}

// Guards: a full file system ends it cleanly, the tree can still be used, and with room again it goes on.
func TestSettleWithoutSpace(t *testing.T) {
	s := newSite(t, "ext4", func(source string) {
		for i := range 6 {
			testtree.Build(t, source, fmt.Sprintf("file f%d 0644 random=10000000:%d", i, i))
		}
	})
	small := testtree.NewDisk(t, "ext4", 48*mib)
	s.at = filepath.Join(small.Path, "at")
	t.Cleanup(func() { unmount(t, s.at) })
	s.instant()
	for range 2 {
		r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{})
		if !fsat.IsNoSpace(err) || r.Settled {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	s.sameWithout("full", s.source, testtree.Holes)
	testtree.Build(t, s.at, "rm f1\nrm f3\nrm f5\nset . mtime=1.1")
	if r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{}); err != nil || !r.Settled {
		t.Fatalf("%+v, %v", r, err)
	}
	testtree.Build(t, s.source, "rm f1\nrm f3\nrm f5\nset . mtime=1.1")
	s.same("settled", s.source)
	s.untouched()
}

// Guards: where the file system refuses an exchange, the empty mountpoint is replaced, in one step too.
func TestSettleWithoutExchange(t *testing.T) {
	s, want := newSmall(t, "ext4")
	s.instant()
	testtree.Build(t, s.at, smallEdit)
	r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{Fault: func(step string) error {
		if step == "exchange" {
			return unix.EINVAL
		}
		return nil
	}})
	if err != nil || !r.Settled {
		t.Fatalf("%+v, %v", r, err)
	}
	s.settled()
	s.same("settled", want)
}

// Guards: a stored file is not noted as damaged for an error that says nothing about it; one with another content is.
func TestSettleChecks(t *testing.T) {
	folders := make([]int, 2)
	for i := range folders {
		dir := t.TempDir()
		testtree.Build(t, dir, "file f 0644 content")
		fd, err := fsat.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeFD(t, fd) })
		folders[i] = fd
	}
	const noHandle = 1 << 20
	e := &index.Entry{Name: "f", Type: index.File, Size: uint64(len("content"))} // its hash is another one
	for _, c := range []struct {
		low     int
		err     error
		damaged int
	}{{noHandle, unix.EBADF, 0}, {folders[1], nil, 1}} {
		copying := copying{notes: &notes{state: folders[0]}}
		w := &newSettlers(1, new(outcome.RestoreProgress))[0]
		w.low = c.low
		if err := copying.check(context.Background(), w, merge{}, e); !errors.Is(err, c.err) {
			t.Errorf("%v, want %v", err, c.err)
		}
		if list, err := copying.notes.damaged(); err != nil || len(list) != c.damaged {
			t.Errorf("with %v: damaged: %q, %v", c.err, list, err)
		}
	}
}
