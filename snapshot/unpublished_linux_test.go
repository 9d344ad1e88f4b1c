package snapshot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/snapshot"
)

type stoppedByClock struct{}

func (stoppedByClock) Error() string            { return "the time is over" }
func (stoppedByClock) Unwrap() error            { return context.Canceled }
func (stoppedByClock) Outcome() archive.Outcome { return archive.OutcomeTimeLimit }

// Guards: a run that publishes nothing leaves a record with its outcome and its error, under a name of its own, also when
// another process has the lock; the record is no report of a snapshot; a dry run leaves none.
func TestUnpublished(t *testing.T) {
	failsAt := func(step string, cause error) func(l *lab) context.Context {
		return func(l *lab) context.Context {
			l.Opt.Fault = func(s string) error {
				if s == step {
					return cause
				}
				return nil
			}
			return context.Background()
		}
	}
	cancelled := func(cause error) func(l *lab) context.Context {
		return func(l *lab) context.Context {
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(cause)
			return ctx
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(l *lab) context.Context
		want    archive.Outcome // "": no record
	}{
		{"failed", failsAt("catalog", unix.EIO), archive.OutcomeFailed},
		{"no space", failsAt("catalog", unix.ENOSPC), archive.OutcomeNoSpace},
		{"over quota", failsAt("catalog", unix.EDQUOT), archive.OutcomeNoSpace},
		{"interrupted", cancelled(nil), archive.OutcomeInterrupted},
		{"time limit", cancelled(stoppedByClock{}), archive.OutcomeTimeLimit},
		{"no source", func(l *lab) context.Context { l.Src += "/none"; return context.Background() }, archive.OutcomeRefused},
		{"source in the archive", func(l *lab) context.Context { l.Src = l.Arch; return context.Background() }, archive.OutcomeRefused},
		{"locked", func(l *lab) context.Context {
			a := l.Open()
			lock, err := a.Lock()
			if err != nil {
				l.T.Fatal(err)
			}
			l.T.Cleanup(func() {
				if err := errors.Join(lock.Unlock(), a.Close()); err != nil {
					l.T.Error(err)
				}
			})
			return context.Background()
		}, archive.OutcomeSkipped},
		{"dry run", func(l *lab) context.Context {
			l.Opt.DryRun, l.Src = true, l.Src+"/none"
			return context.Background()
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Build("file f 0644 x")
			l.Run()
			ctx := c.prepare(l)
			now := time.Date(2099, 11, 23, 2, 0, 0, 0, time.UTC)
			l.Opt.Now = func() time.Time { return now }
			l.Opt.Unrecorded = func(err error) { t.Errorf("no record: %v", err) }
			var causes []string
			for range 2 { // in the same second
				_, err := snapshot.Run(ctx, l.Src, l.Arch, l.Opt)
				if err == nil {
					t.Fatal("it did not fail")
				}
				causes = append(causes, err.Error())
			}
			a := l.Open()
			defer l.Close(a)
			names, err := a.Reports.UnpublishedNames()
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(names) > 0 {
					t.Errorf("records %v", names)
				}
				return
			}
			if strings.Join(names, " ") != "2099-11-23T020000Z 2099-11-23T020001Z" {
				t.Fatalf("records %v", names)
			}
			for i, name := range names {
				u, err := a.Reports.ReadUnpublished(name)
				if err != nil {
					t.Fatal(err)
				}
				if u.Outcome != c.want || !strings.HasPrefix(causes[i], u.Error) || u.Error == "" || u.Snapshot != name ||
					u.Source != l.Src || u.Archive != l.Arch || !u.Start.Equal(now) || u.End.Before(now) || u.ArchiveID != a.Info.ID {
					t.Errorf("%+v, %+v; the run said %q", u, u.Report, causes[i])
				}
			}
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: a record that cannot be written is told, and the run's own error stays as it is.
func TestUnrecorded(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x")
	l.Run()
	runs := l.Path(archive.MetaDir, archive.RunsDir)
	if err := os.Rename(runs, filepath.Join(l.T.TempDir(), "runs")); err != nil {
		t.Fatal(err)
	}
	l.Src += "/none"
	told := 0
	l.Opt.Unrecorded = func(error) { told++ }
	l.Fails(unix.ENOENT)
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
