package instant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// cutAt gives a fault that cuts the power at step n.
func (s *site) cutAt(n int, flags uint32) func(string) error {
	steps := 0
	return func(string) error {
		steps++
		if steps < n {
			return nil
		}
		if steps == n {
			if err := testtree.PowerCut(s.disk.Path, flags); err != nil {
				s.t.Error(err)
			}
		}
		return errCut
	}
}

var errCut = errors.New("power cut")

// Guards: after a power cut at any step of making an instant tree or of settling it, the same command finishes it, with
// everything that was changed and synced before.
func TestInstantPowerCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			s, want := newSmall(t, kind)
			opt := Options{ArchiveID: "id"}
			for n, made, settled := 1, false, false; !made || !settled; n++ {
				unix.Sync()
				opt.Fault = s.cutAt(n, uint32(n%3))
				r, err := Make(context.Background(), s.OpenSnapshot, s.at, opt)
				if made = err == nil && r.After == nil; !made {
					s.reboot()
					s.instant()
				}
				testtree.Build(t, s.at, smallEdit)
				unix.Sync()
				cut := SettleOptions{Threads: 1, Fault: s.cutAt(n, uint32((n+1)%3))}
				if _, err = Settle(context.Background(), s.OpenSnapshot, s.at, cut); err == nil {
					settled = true
				} else {
					s.reboot()
					r, err := Settle(context.Background(), s.OpenSnapshot, s.at, SettleOptions{})
					if err != nil && !errors.Is(err, ErrNotInstant) || err == nil && !r.Settled {
						t.Fatalf("after step %d: %+v, %v", n, r, err)
					}
				}
				s.settled()
				s.same(fmt.Sprint("step ", n), want)
				s.untouched()
				if t.Failed() {
					t.FailNow()
				}
				if err := os.RemoveAll(s.at); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
