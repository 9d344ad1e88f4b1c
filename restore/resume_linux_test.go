package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

const victimEnv = "SNAPCOPY_RESTORE_VICTIM"

// order is what a process of its own is to do until it is killed.
type order struct {
	Catalog, Dir, To string
	Paths            []string
	InPlace          bool
	Swap             bool
	Named            bool  // as on a file system without unnamed files
	User             int   // 0: stay root
	KillAt           int64 // dies before this step, counted from 1; 0: lives
	Attrs            bool
	Now              time.Time
}

// victim carries out an order and exits: 0 if it got to the end.
func victim() {
	var o order
	err := json.Unmarshal([]byte(os.Getenv(victimEnv)), &o)
	if err == nil && o.User != 0 {
		err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(o.User), syscall.Setuid(o.User))
	}
	var rep *Report
	if err == nil {
		rep, err = o.do()
	}
	if err == nil && rep.FailedCount > 0 {
		err = fmt.Errorf("failed: %+v", rep.Failed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(rep.Resumed)
	os.Exit(0)
}

func (o *order) do() (rep *Report, err error) {
	c, err := index.Open(o.Catalog)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var steps atomic.Int64
	opt := Options{InPlace: o.InPlace, Attrs: o.Attrs, Threads: 3, Fault: func(step string) error {
		if steps.Add(1) == o.KillAt {
			return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), unix.EIO)
		}
		if o.Named && step == "unnamed" {
			return unix.EOPNOTSUPP
		}
		return nil
	}}
	if o.Swap {
		return Swap(context.Background(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: o.Dir}}, o.To, opt, o.Now)
	}
	return Run(context.Background(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: o.Dir}}, o.Paths, o.To, opt)
}

// start starts a process that carries out the order.
func (o order) start(t *testing.T) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.Stdout = new(strings.Builder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// run reports whether the process was killed, and whether it went on with an earlier one.
func (o order) run(t *testing.T) (killed, resumed bool) {
	t.Helper()
	cmd := o.start(t)
	killed = wait(t, cmd)
	return killed, cmd.Stdout.(*strings.Builder).String() == "true\n"
}

func wait(t *testing.T, cmd *exec.Cmd) (killed bool) {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("the process: %v", err)
	}
	return false
}

// catalogPath is where the catalog of an archived tree is.
// Guards: a dry run of a restore that was cut short changes no folder on the way to a path.
func TestDryRunAfterAnInterruptedRestore(t *testing.T) {
	source := testarchive.TempDir(t)
	testtree.Build(t, source, "dir a 0755 mtime=1000.1\nfile a/b 0644 content")
	a := take(t, source)
	target := filepath.Join(testarchive.TempDir(t), "target")
	opt := Options{InPlace: true, Fault: func(step string) error {
		if step == "create" {
			return syscall.ENOSPC
		}
		return nil
	}}
	if _, err := Run(t.Context(), a.OpenSnapshot, []string{"a/b"}, target, opt); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	dir := filepath.Join(target, "a")
	check(t, os.Chmod(dir, 0o711))
	before := testtree.Take(t, target)
	a.restore([]string{"a/b"}, target, Options{InPlace: true, DryRun: true})
	testtree.Equal(t, "after a dry run", before, testtree.Take(t, target), 0)
	a.restore([]string{"a/b"}, target, Options{InPlace: true})
}

func (a archived) catalogPath() string {
	return filepath.Join(filepath.Dir(a.Dir), ".snapcopy", "catalogs", filepath.Base(a.Dir)+".cat")
}

// resumable has link groups across folders, closed folders, every kind, and enough names for several workers.
func resumable() string {
	script := `
		dir a 0750 mtime=1000.1 xattr.user.n=1
		dir b 0555 mtime=1000.2
		dir b/c 0500 mtime=1000.3
		file b/c/f 0440 content mtime=5
		file x 0644 shared mtime=6
		link a/x x
		file b/y 0600 other
		link b/c/y b/y
		link a/y b/y
		symlink a/l nowhere mtime=9
		fifo b/p 0640 mtime=7
		file sparse 0644 random=5000:3 at=300000:end
		set . mode=0555 mtime=1000.9
	`
	for i := range 12 {
		script += fmt.Sprintf("file a/f%d 0644 random=%d:%d\nlink b/c/l%d a/f%d\n", i, 100*i, i, i, i)
	}
	return script
}

// Guards: a restore into a new folder may be killed before any step, several times: started again with the same options
// it makes of that what an undisturbed one makes, and leaves nothing behind.
func TestKilledRestoreGoesOn(t *testing.T) {
	owned := ""
	if testtree.Root() {
		owned = "dir a/o 0711 owner=5:6\nfile a/o/f 04755 x owner=5:6 xattr.user.n=1\nfile root 0644 x xattr.trusted.n=1\n" +
			"char b/c/dev 0600 1:3\nset a owner=7:7 mtime=1000.1"
	}
	source := testarchive.BuiltTree(t, resumable()+"\n"+owned)
	a := take(t, source)
	want := testtree.Take(t, source)
	for _, o := range []order{{}, {Named: true}, {Paths: []string{"a", "b", "sparse"}},
		{Named: true, Paths: []string{"a", "b"}},
		{InPlace: true, Paths: []string{"b/c", "a/l", "a/f3"}}} {
		o.Catalog, o.Dir = a.catalogPath(), a.Dir
		t.Run(fmt.Sprint(o.Named, o.InPlace, o.Paths), func(t *testing.T) {
			o.To = filepath.Join(testarchive.TempDir(t), "whole")
			o.KillAt = 0
			o.run(t)
			whole := testtree.Take(t, o.To)
			if o.Paths == nil {
				testtree.Equal(t, "undisturbed", want, whole, 0)
			}
			resumedOnce := false
			rng := rand.New(rand.NewPCG(1, 2))
			for at := int64(1); ; at += 1 + rng.Int64N(12) {
				o.To = filepath.Join(testarchive.TempDir(t), "to")
				o.KillAt = at
				killed, _ := o.run(t)
				if !killed {
					break
				}
				o.KillAt = 1 + rng.Int64N(at+5)
				o.run(t)
				o.KillAt = 0
				_, resumed := o.run(t)
				resumedOnce = resumedOnce || resumed
				if got := testtree.Take(t, o.To); len(testtree.Diff(whole, got, rootTime(o))) > 0 {
					testtree.Equal(t, fmt.Sprintf("killed before step %d", at), whole, got, rootTime(o))
					break
				}
			}
			if !resumedOnce {
				t.Error("none went on")
			}
		})
	}
}

// rootTime: a folder that paths are restored into keeps its own metadata.
func rootTime(o order) testtree.Field {
	if o.Paths != nil {
		return testtree.RootTime
	}
	return 0
}

// Guards: the same without privileges, where owners differ from the snapshot's and folders may be closed to us.
func TestKilledRestoreGoesOnWithoutPrivileges(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, resumable()+"\ndir mine 0070\nfile mine/f 0400 x\nfile su 04755 x\n"+
		"file t 0644 x xattr.trusted.n=1\nset b/c owner=1000:1000 mtime=1000.3\nset su owner=1000:1000 mode=04755\n"+
		"set b mtime=1000.2\nset b/c/f mode=0444\nset b/y mode=0644\nset mine/f mode=0444\nset . mtime=1000.9")
	a := take(t, source)
	top := filepath.Dir(filepath.Dir(filepath.Dir(a.Dir)))
	for path := filepath.Dir(a.catalogPath()); path != top; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(a.catalogPath(), 0o644); err != nil {
		t.Fatal(err)
	}
	// The archive lets nobody but root into the closed folders: give a copy of it to the user.
	if out, err := exec.Command("chown", "-R", "--no-dereference", "1000:1000", a.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := order{Catalog: a.catalogPath(), Dir: a.Dir, User: 1000}
	if err := filepath.WalkDir(a.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	target := func() string {
		dir := testarchive.TempDir(t)
		for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(dir, "to")
	}
	o.To = target()
	if killed, _ := o.run(t); killed {
		t.Fatal("killed")
	}
	whole := testtree.Take(t, o.To)
	rng := rand.New(rand.NewPCG(3, 4))
	for at := int64(1); ; at += 1 + rng.Int64N(12) {
		o.To, o.KillAt = target(), at
		if killed, _ := o.run(t); !killed {
			break
		}
		if o.KillAt = 0; !o.finished(t) {
			o.run(t)
		}
		if got := testtree.Take(t, o.To); len(testtree.Diff(whole, got, 0)) > 0 {
			testtree.Equal(t, fmt.Sprintf("killed before step %d", at), whole, got, 0)
			break
		}
	}
}

// Guards: the same at any moment, not just before a step.
func TestKilledAtAnyTime(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable()+"\nfile large 0644 random=8000000:9")
	a := take(t, source)
	want := testtree.Take(t, source)
	rng := rand.New(rand.NewPCG(5, 6))
	kills := 0
	for i := range 12 {
		o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: filepath.Join(testarchive.TempDir(t), "to"), Named: i%2 == 0}
		for range 3 {
			cmd := o.start(t)
			time.Sleep(time.Duration(rng.IntN(16_000)) * time.Microsecond)
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			if wait(t, cmd) {
				kills++
			}
		}
		o.run(t)
		testtree.Equal(t, "after kills", want, testtree.Take(t, o.To), 0)
	}
	t.Logf("killed %d times", kills)
}

// Guards: a cancelled restore ends with the cause, and goes on.
func TestCancelledRestoreGoesOn(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable())
	a := take(t, source)
	for _, n := range []int{1, 5, 20, 50} {
		to := filepath.Join(testarchive.TempDir(t), "to")
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("enough")
		steps := 0
		_, err := Run(ctx, a.OpenSnapshot, nil, to, Options{Threads: 1, Fault: func(string) error {
			if steps++; steps == n {
				cancel(cause)
			}
			return nil
		}})
		if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		noTemporaryNames(t, to)
		a.wantMirror(source, to, Options{})
		cancel(nil)
	}
}

// Guards: cancelled while contents are brought to the disk, which may take long, it ends as cancelled, and goes on.
func TestCancelledInSync(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable())
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := Run(ctx, a.OpenSnapshot, nil, to, Options{Fault: once("sync contents", 1, func() error {
		cancel()
		return nil
	})})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if rep := a.wantMirror(source, to, Options{}); !rep.Resumed {
		t.Error("it did not go on")
	}
}

// Guards: if the last step fails, which is the time of the target, the note is there again, and the same restore sets the time.
func TestTimeOfTargetFails(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable())
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	_, err := Run(t.Context(), a.OpenSnapshot, nil, to, Options{Fault: once("time of the target", 1, func() error { return unix.ENOMEM })})
	if !errors.Is(err, unix.ENOMEM) {
		t.Errorf("error %v", err)
	}
	if rep := a.wantMirror(source, to, Options{}); !rep.Resumed {
		t.Error("it did not go on")
	}
}

// Guards: going on does not overwrite what somebody else has put there meanwhile, and a target that is none of an
// unfinished restore keeps what it has.
func TestGoingOnKeepsForeignFiles(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable())
	a := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: to, KillAt: 3}
	o.run(t)
	testtree.Build(t, to, "file sparse 0600 foreign\nfile own 0600 own")
	rep := a.restore(nil, to, Options{})
	wantFailed(t, rep, "sparse")
	if !rep.Resumed {
		t.Error("it was not gone on with")
	}
	for name, want := range map[string]string{"sparse": "foreign", "own": "own"} {
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	noTemporaryNames(t, to)
}

// Guards: what going on replaces holds nothing but what it gets anyway, whatever its time and mode are.
func TestGoingOnReplacesParts(t *testing.T) {
	const size = 2_000_000
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 random=2000000:1 mtime=5\nfile d/last 0644 x")
	a := take(t, source)
	stored, err := os.ReadFile(filepath.Join(source, "d/f"))
	if err != nil {
		t.Fatal(err)
	}
	half := stored[:1_000_001]
	holes := func(b []byte, ranges ...int) []byte {
		b = slices.Clone(b)
		for i := 0; i < len(ranges); i += 2 {
			clear(b[ranges[i]:ranges[i+1]])
		}
		return b
	}
	changed := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		b[at]++
		return b
	}
	metas := []string{"0600 mtime=1000", "0644 mtime=5"}
	if os.Geteuid() == 0 { // others do not read that
		metas = append(metas, "0200 mtime=1000")
	}
	for _, c := range []struct {
		name    string
		content []byte
		part    bool
	}{
		{"nothing", nil, true},
		{"the beginning", half, true},
		{"one byte", stored[:1], true},
		{"all but one byte", stored[:size-1], true},
		{"all", stored, true},
		{"zeros", make([]byte, size), true},
		{"a block of zeros", holes(half, 512, 1024), true},
		{"some blocks of zeros", holes(stored, 0, 4096, 700_416, 1_700_352), true},
		{"zeros at the end", holes(stored, 1_999_872, size), true},
		{"less than a block of zeros", holes(stored, 512, 1000), false},
		{"another byte at the beginning", changed(half, 0), false},
		{"another byte at the end", changed(half, len(half)-1), false},
		{"another byte beyond the first buffer", changed(stored, 1_500_000), false},
		{"a byte more", append(slices.Clone(stored), 0), false},
		{"something else", []byte("mine"), false},
	} {
		for _, meta := range metas {
			to := filepath.Join(testarchive.TempDir(t), "to")
			o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: to, KillAt: 4}
			if killed, _ := o.run(t); !killed {
				t.Fatal("it was not killed")
			}
			path := filepath.Join(to, "d/f")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			mode, mtime, _ := strings.Cut(meta, " ")
			testtree.Build(t, to, "set d/f mode="+mode+" "+mtime)
			rep := a.restore(nil, to, Options{})
			if !rep.Resumed {
				t.Fatal("it was not gone on with")
			}
			if c.part {
				wantFailed(t, rep)
				testtree.Equal(t, c.name+", "+meta, testtree.Take(t, source), testtree.Take(t, to), 0)
				continue
			}
			wantFailed(t, rep, "d/f")
			if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, c.content) {
				t.Errorf("%s, %s: it was changed (%v)", c.name, meta, err)
			}
		}
	}
}

// Guards: the note of a restore that nobody goes on with does not get into an exact mirror of another snapshot.
func TestNoteOfAnotherRestore(t *testing.T) {
	first := take(t, testarchive.BuiltTree(t, resumable()))
	source := testarchive.BuiltTree(t, "file f 0644 x\ndir a 0700\nset . mtime=3")
	second := take(t, source)
	to := filepath.Join(testarchive.TempDir(t), "to")
	o := order{Catalog: first.catalogPath(), Dir: first.Dir, To: to, KillAt: 20}
	o.run(t)
	before := states(t, to)
	dry := mirror
	dry.DryRun = true
	second.restore(nil, to, dry)
	if diff := cmp.Diff(before, states(t, to)); diff != "" {
		t.Errorf("a dry run changed %s", diff)
	}
	second.wantMirror(source, to, mirror)
}
