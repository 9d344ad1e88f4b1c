package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/verify"
)

// spotOptions are the flags of verify --spot.
type spotOptions struct {
	share  shareFlag
	source string
	seed   uint64
}

func (o *spotOptions) addFlags(f *pflag.FlagSet) {
	f.Var(&o.share, "spot", "compare this part of the newest snapshot's files with the source, like 1%")
	f.StringVar(&o.source, "source", "", "with --spot: the source is in `DIR` now, where inode numbers and change times may differ")
	f.Uint64Var(&o.seed, "seed", 0, "with --spot: choose the files by the number `N` (default: by chance; it is printed)")
	f.Lookup("seed").DefValue = ""
}

// given reports whether a flag was given that has no meaning without --spot.
func (o *spotOptions) given() bool { return o.source != "" || o.seed != 0 }

type spotObject struct {
	Archive       string  `json:"archive"`
	Snapshot      string  `json:"snapshot"`
	Source        string  `json:"source"`
	Seed          uint64  `json:"seed"`
	Compared      uint64  `json:"compared"`
	Bytes         uint64  `json:"bytes"`
	Changed       uint64  `json:"changed"`
	SourceDamaged uint64  `json:"source_damaged"`
	Damaged       uint64  `json:"damaged"`
	Unreadable    uint64  `json:"unreadable"`
	Seconds       float64 `json:"seconds"`
	NotRemembered string  `json:"not_remembered,omitempty"`
}

// compareSample compares a sample with the sources.
func (o *verifyOptions) compareSample(ctx context.Context, a *app, arch *archive.Archive, list []archive.Snapshot, place string) error {
	_, selector, err := splitPlace(place)
	if err != nil {
		return err
	}
	if selector == "" {
		if list, err = o.spot.newest(a, arch, list); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("the archive %s has no snapshot of a source on this host; --source=DIR names the folder to compare with", name(arch.Path))
	}
	if o.spot.seed == 0 {
		o.spot.seed = rand.Uint64N(1<<53) + 1 // JSON readers lose digits of larger numbers
	}
	var outcome error
	for _, s := range list {
		err := o.compareOne(ctx, a, arch, s)
		var t told
		switch {
		case errors.As(err, &t):
			if outcome == nil || t.status == statusDamage {
				outcome = err
			}
		case err != nil:
			return err
		}
	}
	return outcome
}

// newest returns the newest snapshot of each source of this host, or with --source the newest of all.
func (o *spotOptions) newest(a *app, arch *archive.Archive, all []archive.Snapshot) (list []archive.Snapshot, err error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, s := range arch.NewestFirst(all, a.now()) {
		c, err := s.OpenCatalog()
		if err != nil {
			continue // verify without --spot tells it
		}
		sum := c.Summary()
		if err := c.Close(); err != nil {
			return nil, err
		}
		if o.source != "" {
			return []archive.Snapshot{s}, nil
		}
		if sum.Host == host && !seen[sum.Source] {
			seen[sum.Source] = true
			list = append(list, s)
		}
	}
	return list, nil
}

func (o *verifyOptions) compareOne(ctx context.Context, a *app, arch *archive.Archive, s archive.Snapshot) error {
	c, err := s.OpenCatalog()
	if err != nil {
		return fmt.Errorf("snapshot %s of %s: %w", s.Name, arch.Path, err)
	}
	source := c.Summary().Source
	if err := c.Close(); err != nil {
		return err
	}
	if o.spot.source != "" {
		source = o.spot.source
	}
	progress := new(archive.Progress)
	var writeErr error
	opt := verify.SpotOptions{Part: float64(o.spot.share), Seed: o.spot.seed, Source: source, Elsewhere: o.spot.source != "",
		Threads: o.threads, Progress: progress, Now: a.now}
	opt.Damage = func(d verify.Damage) {
		if err := o.finding(a, arch.Path, d); writeErr == nil {
			writeErr = err
		}
	}
	begin := time.Now()
	bar := startProgress(a, verifyMeter(progress), o.progress.quietly(o.quiet))
	r, err := verify.Spot(ctx, arch, s, opt)
	bar.stop()
	if err = errors.Join(err, writeErr); err != nil {
		return err
	}
	if r.NotRemembered != nil && !o.quiet {
		a.term.errorf("Note: what was read could not be remembered in the archive %s: %s. The check itself was made.",
			name(arch.Path), printable(r.NotRemembered.Error()))
	}
	if err := o.spotSum(a, arch.Path, s.Name, source, r, time.Since(begin)); err != nil {
		return err
	}
	switch {
	case r.Damaged > 0, r.Rotten > 0:
		return told{statusDamage}
	case r.Unreadable > 0:
		return toldIncomplete
	}
	return nil
}

func (o *verifyOptions) spotSum(a *app, path, snapshot, source string, r *verify.SpotReport, took time.Duration) error {
	if o.json {
		v := &spotObject{Archive: path, Snapshot: snapshot, Source: source, Seed: o.spot.seed, Compared: r.Compared, Bytes: r.Bytes,
			Changed: r.Changed, SourceDamaged: r.Rotten, Damaged: r.Damaged, Unreadable: r.Unreadable, Seconds: took.Seconds()}
		if r.NotRemembered != nil {
			v.NotRemembered = r.NotRemembered.Error()
		}
		return a.printJSON("spot", v)
	}
	if o.quiet {
		return nil
	}
	text := fmt.Sprintf("Compared %s with %s of snapshot %s with %s, in %s (--seed=%d).\n", counted(r.Compared, "file", "files"), size(r.Bytes),
		snapshot, name(source), duration(took), o.spot.seed)
	if r.Changed > 0 {
		text += fmt.Sprintf("Not compared: %s changed or gone in the source since, or stored just after a change.\n", counted(r.Changed, "file", "files"))
	}
	if r.Unreadable > 0 {
		text += fmt.Sprintf("%s could not be looked at.\n", counted(r.Unreadable, "file", "files"))
	}
	switch {
	case r.Damaged+r.Rotten > 0:
		text += fmt.Sprintf("DAMAGE FOUND: %s in the archive %s, %s in the source.\n", counted(r.Damaged, "file", "files"), name(path),
			counted(r.Rotten, "file", "files"))
	default:
		text += "No damage.\n"
	}
	return a.printf("%s", text)
}
