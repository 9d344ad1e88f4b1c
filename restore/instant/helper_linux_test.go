package instant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/snapshot"
)

// These make a process of the test program do one of two jobs: take a snapshot of the source on a disk, mount and settle
// it; or settle a mountpoint.
const (
	instantEnv = "SNAPCOPY_INSTANT_HELPER"
	settleEnv  = "SNAPCOPY_SETTLE_HELPER"
)

func instantHelper(disk string) (err error) {
	archive := filepath.Join(disk, "archive of a user")
	rep, err := snapshot.Run(context.Background(), filepath.Join(disk, "source"), archive, snapshot.Options{})
	if err != nil {
		return err
	}
	from, err := openSource(archive, rep.Snapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Catalog.Close()) }()
	at := filepath.Join(disk, "at:a,b\\c\n\xff")
	made, err := Make(context.Background(), from, at, Options{})
	if err != nil {
		return err
	}
	if made.Mended == 0 || !made.NoRename {
		return fmt.Errorf("the link group was not made: %+v", made)
	}
	r, err := Settle(context.Background(), from, at, SettleOptions{})
	if err == nil && !r.Settled {
		err = fmt.Errorf("not settled: %+v", r)
	}
	return err
}

func openSource(place, name string) (archive.OpenSnapshot, error) {
	c, err := index.Open(filepath.Join(place, ".snapcopy", "catalogs", name+".cat"))
	return archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(place, name)}}, err
}

func settleHelper(mountpoint string) (err error) {
	state, err := Read(mountpoint)
	if err != nil {
		return err
	}
	from, err := openSource(state.Archive, state.Snapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Catalog.Close()) }()
	r, err := Settle(context.Background(), from, mountpoint, SettleOptions{Threads: 4})
	if err == nil && !r.Settled {
		err = fmt.Errorf("not settled: %+v", r)
	}
	return err
}

// instantJob does such a job, if there is one.
func instantJob() (done bool, err error) {
	if disk := os.Getenv(instantEnv); disk != "" {
		return true, instantHelper(disk)
	}
	if at := os.Getenv(settleEnv); at != "" {
		return true, settleHelper(at)
	}
	return false, nil
}

func TestMain(m *testing.M) {
	if done, err := instantJob(); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
