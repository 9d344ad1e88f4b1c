package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fault"
	"snapcopy/internal/journal"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// resumeTree has files of all sizes, names of one inode, extended attributes, holes, and folders that deny their owner
// access.
func resumeTree(l *lab) {
	l.Build("dir d 0755\ndir d/locked 0555")
	for i := range 40 {
		l.Build(fmt.Sprintf("file d/f%d 0644 random=%d:%d", i, 100+i*3000, i))
	}
	l.Build(`file ax 0600 random=5000:99
		file readonly 0400 random=20000:1
		link linked readonly
		symlink s readonly`)
}

// stopAt makes a run die at an occurrence of a step.
func stopAt(l *lab, step string, at int64, cause error) *atomic.Int64 {
	var seen atomic.Int64
	l.Opt.Fault = func(name string) error {
		if name == step && seen.Add(1) == at {
			return cause
		}
		return nil
	}
	return &seen
}

// diedAt is a lab with resumeTree, of which a run died at a step.
func diedAt(t *testing.T, step string) *lab {
	l := newLab(t)
	resumeTree(l)
	testtree.Settle()
	stopAt(l, step, 1, fault.ErrCrash)
	l.Fails(fault.ErrCrash)
	l.Opt.Fault = nil
	return l
}

// stopsReading makes a run with short ways between checkpoints, and stops it once it has read so many bytes.
func stopsReading(l *lab, bytes uint64) *archive.Report {
	l.T.Helper()
	l.Opt.CheckpointBytes = 4 * archivetest.MiB
	ctx, cancel := context.WithCancelCause(l.T.Context())
	l.Opt.Progress = new(archive.Progress)
	go func() {
		for l.Opt.Progress.Read.Load() < bytes {
		}
		cancel(archivetest.ErrStopped)
	}()
	open := testtree.OpenDescriptors(l.T)
	rep, err := snapshot.Run(ctx, l.Src, l.Arch, l.Opt)
	checkpointsEnd(l.T, open)
	if !errors.Is(err, archivetest.ErrStopped) {
		l.T.Fatal(err)
	}
	l.Opt.Progress = nil
	return rep
}

// Guards: a run that died goes on: what was stored is neither read nor made again, and the snapshot is the source's.
func TestResume(t *testing.T) {
	for _, c := range []struct {
		step  string
		at    int64
		cause error
	}{
		{"create", 30, fault.ErrCrash}, {"create", 30, unix.ENOSPC}, {"sync", 1, fault.ErrCrash},
		{"catalog", 1, fault.ErrCrash}, {"publish", 1, fault.ErrCrash}, {"publish", 1, unix.EIO},
	} {
		t.Run(fmt.Sprint(c.step, " ", c.cause), func(t *testing.T) {
			l := newLab(t)
			l.Opt.Threads = 1
			resumeTree(l)
			testtree.Settle()
			stopAt(l, c.step, c.at, c.cause)
			l.Fails(c.cause)
			l.Opt.Fault = nil
			rep := l.Run()
			if rep.Resumed.Files < 20 {
				t.Errorf("resumed %+v", rep.Resumed)
			}
			if rep.Counts.BytesRead+rep.Resumed.Bytes > rep.Counts.BytesTotal+2*20000 {
				t.Errorf("%d bytes read, %d taken over, %d in all", rep.Counts.BytesRead, rep.Resumed.Bytes, rep.Counts.BytesTotal)
			}
			l.Intact()
			l.Verify()
			l.NothingLeft()
			l.Run()
			l.AllShared()
		})
	}
}

// Guards: the snapshot is that of the last run's source: an entry that changed since the interrupted run is read again.
func TestResumeLooksAgain(t *testing.T) {
	l := diedAt(t, "catalog")
	l.Build("append d/f1 more\nset d/f2 mode=0600\nrm d/f3\nrm readonly\nfile d/new 0644 new")
	rep := l.Run()
	if want := uint64(40 + 1 - 3); rep.Resumed.Files != want {
		t.Errorf("resumed %d files; want %d", rep.Resumed.Files, want)
	}
	l.Intact()
	l.Verify()
	l.NothingLeft()
}

// Guards: however often a run is cut short, its work adds up, and it ends.
func TestResumeAgainAndAgain(t *testing.T) {
	l := newLab(t)
	l.Opt.Threads = 1
	resumeTree(l)
	testtree.Settle()
	read := uint64(0)
	for i := range 12 {
		l.Opt.Progress = new(archive.Progress)
		stopAt(l, "create", 5, fault.ErrCrash)
		_, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		read += l.Opt.Progress.Read.Load()
		if err == nil {
			t.Fatalf("run %d was not stopped", i)
		}
		if !errors.Is(err, fault.ErrCrash) {
			t.Fatal(err)
		}
		if i == 9 {
			break
		}
	}
	l.Opt.Fault, l.Opt.Progress = nil, nil
	rep := l.Run()
	if read += rep.Counts.BytesRead; float64(read) > 1.3*float64(rep.Counts.BytesTotal) {
		t.Errorf("%d bytes read for %d", read, rep.Counts.BytesTotal)
	}
	l.Verify()
	l.NothingLeft()
}

// Guards: what had to be hashed, because no checkpoint covered it, is not hashed again if that run is interrupted, too.
func TestResumeHashesOnce(t *testing.T) {
	l := diedAt(t, "sync")
	if at, end := proven(t, l); at != 0 {
		t.Fatalf("proven up to %d of %d before any checkpoint", at, end)
	}
	stopAt(l, "begin", 1, fault.ErrCrash)
	l.Fails(fault.ErrCrash)
	if at, end := proven(t, l); at < end*9/10 {
		t.Errorf("proven up to %d of %d", at, end)
	}
	l.Opt.Fault = nil
	if rep := l.Run(); rep.Resumed.Files != 42 {
		t.Errorf("resumed %+v", rep.Resumed)
	}
	l.Verify()
	l.NothingLeft()
}

// proven returns the position in the journal of an unfinished run up to which no record needs a look at the content, and the
// length of the journal.
func proven(t *testing.T, l *lab) (at, end int64) {
	t.Helper()
	file, err := os.Open(filepath.Join(unfinishedFolder(t, l), archive.JournalFile))
	check(t, err)
	r, err := journal.NewReader(file)
	check(t, err)
	at, err = r.Proven()
	check(t, err)
	info, err := file.Stat()
	check(t, errors.Join(err, file.Close()))
	return at, info.Size()
}

// Guards: a kept file that is not as recorded is not used: the record is not proven before a checkpoint.
func TestResumeChecksContent(t *testing.T) {
	l := diedAt(t, "sync")
	tree := unfinishedFolder(t, l) + "/tree"
	spoil := func(name string) { // as after a power cut: the metadata have reached the disk, the content has not
		info, err := os.Stat(tree + "/" + name)
		check(t, err)
		check(t, os.WriteFile(tree+"/"+name, make([]byte, info.Size()), 0))
		check(t, os.Chtimes(tree+"/"+name, info.ModTime(), info.ModTime()))
	}
	spoil("d/f5")
	check(t, os.Truncate(tree+"/d/f6", 0))
	check(t, os.Remove(tree+"/d/f7"))
	rep := l.Run()
	if rep.Resumed.Files != 42-3 {
		t.Errorf("resumed %+v; recovered %q", rep.Resumed, rep.Recovered)
	}
	l.Verify()
	l.NothingLeft()
}

func unfinishedFolder(t *testing.T, l *lab) string {
	t.Helper()
	list, err := filepath.Glob(l.Path(archive.MetaDir, archive.WorkDir, "unfinished-*"))
	check(t, err)
	if len(list) != 1 {
		t.Fatalf("unfinished runs: %q", list)
	}
	return list[0]
}

// Guards: runs of other sources, dry runs and --no-resume leave, tell and remove what an interrupted run has stored.
func TestUnfinishedOfOneSource(t *testing.T) {
	l := diedAt(t, "sync")
	other := t.TempDir()
	check(t, os.WriteFile(other+"/f", []byte("x"), 0o600))
	if _, err := snapshot.Run(t.Context(), other, l.Arch, l.Opt); err != nil {
		t.Fatal(err)
	}
	folder := unfinishedFolder(t, l)
	dry := l.Opt
	dry.DryRun = true
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, dry)
	if err != nil || rep.Left == nil || rep.Left.Files != 42 || rep.Left.Path != folder {
		t.Errorf("dry run: %+v, %v", rep.Left, err)
	}
	l.Opt.NoResume = true
	if rep, err = snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt); err != nil || rep.Resumed.Files != 0 {
		t.Errorf("started afresh: %+v, %v", rep, err)
	}
	if list, _ := filepath.Glob(folder); len(list) > 0 {
		t.Errorf("%s is still there", folder)
	}
}

// checkpointsEnd waits until as many descriptors are open as before an interrupted run, which returns while a checkpoint
// may still wait for the disk.
func checkpointsEnd(t *testing.T, open int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); testtree.OpenDescriptors(t) != open; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the interrupted run has left descriptors open")
		}
	}
}

// Guards: a large file goes on where its copy was cut short, also by an interruption; of a file that changed since, or
// whose copy is not what the marks say, nothing is used.
func TestResumeLargeFile(t *testing.T) {
	const size = 40 * archivetest.MiB
	for _, c := range []struct {
		name   string
		edit   func(t *testing.T, l *lab, partial string)
		atMost uint64 // bytes read by the second run
	}{
		{"as it was", func(*testing.T, *lab, string) {}, size * 6 / 10},
		{"changed", func(_ *testing.T, l *lab, _ string) { l.Build("append big x") }, size + 1},
		{"damaged copy", func(t *testing.T, _ *lab, partial string) {
			check(t, os.Chmod(partial, 0o600)) // an ordinary user could not open it
			check(t, os.Truncate(partial, 5*archivetest.MiB))
		}, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Build(fmt.Sprintf("file big 0400 random=%d:3\nset big mtime=7", size))
			testtree.Settle()
			rep := stopsReading(l, size/2)
			if rep.Left == nil || rep.Left.Bytes < size/3 {
				t.Fatalf("left %+v", rep.Left)
			}
			c.edit(t, l, unfinishedFolder(t, l)+"/tree/big")
			rep = l.Run()
			if rep.Counts.BytesRead > c.atMost || c.atMost < size && rep.Resumed.Bytes < size/3 {
				t.Errorf("%d bytes read, resumed %+v", rep.Counts.BytesRead, rep.Resumed)
			}
			l.Verify()
			l.NothingLeft()
		})
	}
}

// Guards: holes and the space between them are those of the source, whichever part of a file was copied by which run.
func TestResumeSparseFile(t *testing.T) {
	l := newLab(t)
	path := l.Src + "/sparse"
	f, err := os.Create(path)
	check(t, err)
	for at := int64(0); at < 64; at += 4 { // 2 MiB of data, 2 MiB of nothing
		_, err := f.WriteAt(testtree.Random(2*archivetest.MiB, uint64(at)+1), at*archivetest.MiB)
		check(t, err)
	}
	check(t, f.Truncate(70*archivetest.MiB))
	check(t, f.Close())
	testtree.Settle()
	stopsReading(l, 15*archivetest.MiB)
	if rep := l.Run(); rep.Resumed.Bytes == 0 {
		t.Errorf("resumed %+v", rep.Resumed)
	}
	l.Verify()
}

// Guards: a kept file that became part of a published snapshot is never written to, even if the run died just then.
func TestPublishedPartialIsNotWritten(t *testing.T) {
	l := newLab(t)
	const size = 20 * archivetest.MiB
	l.Build(fmt.Sprintf("file big 0644 random=%d:3", size))
	testtree.Settle()
	l.Opt.CheckpointBytes = 4 * archivetest.MiB
	stopAt(l, "catalog", 1, fault.ErrCrash)
	l.Fails(fault.ErrCrash)
	stopAt(l, "sync of the folders", 1, fault.ErrCrash)
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	check(t, err)
	l.Note(rep)
	l.Opt.Fault = nil
	l.Build("set big mtime=9")
	l.Run()
	l.Intact()
	l.Verify()
	l.NothingLeft()
}
