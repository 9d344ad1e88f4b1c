package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// denies makes a source refuse calls, each given as "op name".
func denies(calls ...string) func(op, name string) error {
	return func(op, name string) error {
		if slices.Contains(calls, op+" "+name) {
			return unix.EACCES
		}
		return nil
	}
}

// carryLab has a snapshot of a source that cannot be read any more in part. What can be read has been edited.
func carryLab(t *testing.T) *lab {
	l := newLab(t)
	l.Parallel = true
	l.Opt.Threads = 2
	l.Build(archivetest.FaultTree + "link d/e/g4 g1\nfile d/e/twin 0600 \"t\"\nlink d/e/twin2 d/e/twin\nsymlink d/e/s f\n")
	testtree.Settle()
	l.Run()
	l.Build("write changed \"after\"\nmv moves moved\nfile new 0640 \"new\"")
	l.Opt.SourceFault = denies("open e", "stat kept", "stat g2")
	return l
}

// kept are the entries of carryLab that are carried along.
var kept = []string{"d/e", "d/e/f", "d/e/g4", "d/e/s", "d/e/twin", "d/e/twin2", "d/g2", "kept"}

// carriesAll checks a snapshot of carryLab: it is the source as it would be if all could be read.
func (l *lab) carriesAll(rep *archive.Report, without testtree.Field) {
	l.T.Helper()
	equalLists(l.T, "flagged", l.flagged(rep, l.Order[0]), kept...)
	testtree.Equal(l.T, "snapshot", testtree.Take(l.T, l.Src), l.Taken[rep.Snapshot], without)
	if c := rep.Counts; c.Kept != 7 || c.Failed != 3 || len(rep.Tripwires) > 0 {
		l.T.Errorf("counts %+v, tripwires %v", c, rep.Tripwires)
	}
	l.Intact()
	l.Verify()
}

// Guards: a stored file that the archive's file system does not link is carried along as a copy, with the metadata, the flag and
// the date of the stored file, and the next run links the copy.
func TestCarriesAlongWhereLinksAreRefused(t *testing.T) {
	for _, cause := range []error{unix.EPERM, unix.EMLINK, unix.EXDEV} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			l := carryLab(t)
			l.Opt.Fault = func(step string) error {
				if step == "link" {
					return cause
				}
				return nil
			}
			rep := l.night(l.Opt)
			l.carriesAll(rep, testtree.Group) // the names of a group could not be linked to one another either
			for _, path := range kept[1:] {
				l.Shared(false, path)
			}
			full := l.Entries(rep.Snapshot)["d/e/f"].Flags&index.AtLinkLimit != 0
			if full != (cause == unix.EMLINK) {
				t.Errorf("d/e/f is said to be at the link limit: %v", full)
			}
			l.Opt.Fault = nil
			l.carriesAll(l.night(l.Opt), testtree.Group) // as stored
			l.Shared(true, "kept", "d/e/f", "d/e/s")
			l.Opt.SourceFault = nil
			l.Run()
			l.Verify()
		})
	}
}

// Guards: a stored file that has all the names that an inode can have is carried along as a copy.
func TestCarriesAlongAtTheLinkLimit(t *testing.T) {
	const limit = 65_000 // EXT4_LINK_MAX
	disk := testtree.NewDisk(t, "ext4", 96*archivetest.MiB, "-N", "4096")
	l := carryLab(t)
	l.Arch = filepath.Join(disk.Path, "archive")
	l.Parallel = false
	l.Taken, l.Order = make(map[string]testtree.Tree), nil
	deny := l.Opt.SourceFault
	l.Opt.SourceFault = nil
	l.Run()
	stored, other := l.Path(l.Order[0], "kept"), filepath.Join(disk.Path, "names")
	check(t, os.Mkdir(other, 0o700))
	for i := 1; i < limit; i++ {
		check(t, os.Link(stored, fmt.Sprint(other, "/", i)))
	}
	l.Opt.SourceFault = deny
	for i := range 3 {
		rep := l.night(l.Opt)
		l.carriesAll(rep, 0)
		l.Shared(i > 0, "kept")
		l.Shared(true, "d/e/f", "d/e/twin", "d/g2")
		if full := rep.LinkLimit; full != 1 && i == 0 || full != 0 && i > 0 {
			t.Errorf("run %d: %d files at the link limit", i, full)
		}
	}
	l.Opt.SourceFault = nil
	l.Run()
	l.Shared(true, "kept")
	l.Verify()
}

// Guards: whichever step of a run that carries entries along fails, or is the last one of its process, nothing is lost: the
// snapshots before are intact, the next run carries the same along, and what can be read again is unchanged.
func TestEveryStepOfCarryingAlong(t *testing.T) {
	l := carryLab(t)
	s := &steps{seen: make(map[string]int)}
	l.Opt.Fault = s.fault
	l.carriesAll(l.night(l.Opt), 0)
	for name, times := range s.seen {
		for at := range times {
			for _, cause := range []error{fault.ErrCrash, unix.EIO} {
				t.Run(fmt.Sprint(name, " ", at, " ", cause), func(t *testing.T) {
					t.Parallel()
					l := carryLab(t)
					s := &steps{seen: make(map[string]int), name: name, at: at, cause: cause}
					l.Opt.Fault = s.fault
					rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
					switch {
					case slices.Contains(afterPublish, name):
						check(t, err)
						l.Note(rep)
					case !errors.Is(err, cause):
						t.Fatalf("the run says %v", err)
					}
					l.Intact()
					l.Opt.Fault = nil
					l.carriesAll(l.night(l.Opt), 0)
					l.NothingLeft()
					l.Opt.SourceFault = nil
					l.Run()
					l.Shared(true, "kept", "d/e/f", "d/e/g4", "d/e/s", "d/e/twin", "d/g2", "g1")
					l.Verify()
				})
			}
		}
	}
}

// Guards: a source whose file system goes away in the middle of a run has lost nothing: the run fails, or its snapshot has all that
// the one before has, and is incomplete.
func TestSourceGoesAway(t *testing.T) {
	for _, cause := range []error{unix.ENOENT, unix.ESTALE, unix.EIO, unix.ENOTCONN} {
		t.Run(cause.Error(), func(t *testing.T) {
			l := newLab(t)
			for i := range 5 {
				l.Build(fmt.Sprintf("dir d%d 0755\nfile d%d/a 0644 \"a%d\"\nfile d%d/b 0644 \"b\"", i, i, i, i))
			}
			l.Run()
			want, published := len(l.Entries(l.Order[0])), 0
			for from := range int64(30) {
				var calls atomic.Int64
				rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, snapshot.Options{Threads: 1, SourceFault: func(string, string) error {
					if calls.Add(1) > from {
						return cause
					}
					return nil
				}})
				if err != nil || calls.Load() <= from {
					continue
				}
				published++
				if got := len(l.Entries(rep.Snapshot)); got != want || !rep.Incomplete || rep.Counts.Deleted+rep.Counts.Vanished > 0 {
					t.Errorf("after %d calls: %d entries of %d, %+v", from, got, want, rep.Counts)
				}
			}
			if published == 0 {
				t.Error("no run came to its end")
			}
			l.Verify()
		})
	}
}
