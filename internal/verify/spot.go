package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
	"snapcopy/internal/workers"
)

// SpotOptions are the options of Spot.
type SpotOptions struct {
	Part   float64 // of the files, 0 to 1
	Seed   uint64  // chooses the files; the same seed chooses the same paths
	Source string  // the live folder
	// Elsewhere says that Source is not the place of which the snapshot was made: inode numbers and change times are not
	// compared.
	Elsewhere bool
	Threads   int
	Progress  *archive.Progress // nil: nobody is watching
	Damage    func(Damage)      // as in Options; errors of the source wrap ErrSource
	Now       func() time.Time
}

// ErrSource is wrapped by a finding about the source: its file has other content, although its stat data are as recorded.
var ErrSource = errors.New("the file in the source has changed without a trace in its stat data")

// SpotReport has the figures of Spot.
type SpotReport struct {
	Compared   uint64 // files of which both the source's and the stored file were read
	Bytes      uint64 // of those files
	Changed    uint64 // changed or gone in the source since: not compared
	Rotten     uint64 // damaged in the source
	Damaged    uint64 // damaged in the archive
	Unreadable uint64 // could not be looked at

	NotRemembered error
}

// Spot compares a sample of a snapshot's files with the live source. A file with stat data as recorded has to have the
// recorded content there; the stored file is read, too. What is found out about stored files is remembered.
func Spot(ctx context.Context, a *archive.Archive, s archive.Snapshot, opt SpotOptions) (rep *SpotReport, err error) {
	if opt.Progress == nil {
		opt.Progress = new(archive.Progress)
	}
	opt.Progress.Phase.Store(int32(archive.Copying))
	p := &spotter{opt: opt, rep: new(SpotReport)}
	p.v = &verifier{ctx: ctx, archive: a, root: os.Geteuid() == 0, workers: newWorkers(workers.Number(opt.Threads), opt.Progress),
		opt: Options{Remember: true, MetadataOnly: true, Progress: opt.Progress, Damage: opt.Damage, Now: opt.Now}}
	p.v.memory.now = p.v.now()
	p.v.found.init(p.v.memory.now)
	p.v.forgetting, _ = a.Forgetting() // the archive's findings report an unreadable note
	list := []archive.Snapshot{s}
	if err := p.v.memory.begin(p.v, list); err != nil {
		return p.rep, err
	}
	defer func() {
		err = errors.Join(err, p.v.memory.end(p.v, list))
		p.rep.NotRemembered = p.v.report.NotRemembered
		p.rep.Damaged, p.rep.Unreadable = p.v.report.Damaged-p.rep.Rotten, p.v.report.Unreadable
		opt.Progress.Phase.Store(int32(archive.Finished))
	}()
	open, err := s.Open()
	if err != nil {
		return p.rep, err
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	p.snapshot, p.anchored = open, open.Catalog.Summary().Anchor == a.Anchor
	if p.source, err = fsat.OpenRoot(opt.Source); err != nil {
		return p.rep, fmt.Errorf("open the source %s: %w", opt.Source, err)
	}
	defer func() { err = errors.Join(err, fsat.Close(p.source)) }()
	return p.rep, p.run()
}

// spotter is the state of Spot.
type spotter struct {
	opt      SpotOptions
	v        *verifier
	snapshot *archive.OpenSnapshot
	anchored bool
	source   int
	rep      *SpotReport // counts under the lock of v
}

// sample is a file to compare.
type sample struct {
	dir   string
	entry index.Entry
}

func (p *spotter) run() error {
	group, ctx := errgroup.WithContext(p.v.ctx)
	samples := make(chan sample, len(p.v.workers))
	group.Go(func() error {
		defer close(samples)
		return p.choose(ctx, samples)
	})
	for i := range p.v.workers {
		group.Go(func() error {
			for s := range samples {
				if err := p.compare(ctx, &p.v.workers[i], &s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	all, err := p.v.archive.Snapshots()
	if err != nil {
		return err
	}
	return p.v.nameDamaged(all)
}

// choose sends the files of the sample.
func (p *spotter) choose(ctx context.Context, samples chan<- sample) error {
	return p.snapshot.Catalog.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if e.Type != index.File || e.Flags&index.NotStored != 0 || !p.chosen(index.Join(dir, e.Name)) {
			return nil
		}
		select {
		case samples <- sample{dir, *e}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// chosen reports whether the path belongs to the sample of the seed.
func (p *spotter) chosen(path string) bool {
	sum := blake3.Sum256(append(binary.LittleEndian.AppendUint64(nil, p.opt.Seed), path...))
	return p.opt.Part >= 1 || float64(binary.LittleEndian.Uint64(sum[:]))/(1<<64) < p.opt.Part
}

// compare compares a file of the source and its stored file with the record. Only an error that ends everything is returned.
func (p *spotter) compare(ctx context.Context, w *worker, s *sample) error {
	path := index.Join(s.dir, s.entry.Name)
	live, err := p.live(ctx, w, s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var source *damageError
	if err != nil && !errors.As(err, &source) {
		p.v.tell(p.snapshot.Name, path, err, err)
		return nil
	}
	if !live && err == nil {
		p.count(&p.rep.Changed, 1)
		return nil
	}
	stored := p.stored(ctx, w, s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		verdict := "the stored file has the recorded content: restore it from there"
		if stored != nil {
			verdict = "the stored file does not have the recorded content either"
		}
		p.count(&p.rep.Rotten, 1)
		p.v.tell(p.snapshot.Name, path, fmt.Errorf("%w: %w (%s)", ErrSource, err, verdict))
	}
	if stored != nil {
		if err == nil {
			var d *damageError
			if errors.As(stored, &d) {
				d.cause = fmt.Errorf("%w (the source has the recorded content)", d.cause)
			}
		}
		p.v.tell(p.snapshot.Name, path, stored, stored)
	}
	p.count(&p.rep.Compared, 1)
	p.count(&p.rep.Bytes, s.entry.Size)
	p.opt.Progress.Files.Add(1)
	p.opt.Progress.Bytes.Add(s.entry.Size)
	return nil
}

func (p *spotter) count(n *uint64, by uint64) {
	p.v.lock.Lock()
	defer p.v.lock.Unlock()
	*n += by
}

// live reads the file of the source. It reports false if that has changed since, or is gone, and damage if it has other
// content although its stat data are as recorded.
func (p *spotter) live(ctx context.Context, w *worker, s *sample) (same bool, err error) {
	fd, err := p.openLive(s)
	if fsat.IsNoDir(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("source: open: %w", err)
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var before, after fsat.Stat
	if err := fsat.StatHandle(fd, &before); err != nil {
		return false, fmt.Errorf("source: stat: %w", err)
	}
	ignore := tree.Ignored(p.opt.Elsewhere, p.opt.Elsewhere)
	if !tree.Unchanged(&s.entry, &before, ignore) {
		return false, nil
	}
	n, hash, err := w.copier.Copy(ctx, filecopy.NoFile, fd, before.Size, before.Blocks*512 < before.Size)
	if err != nil {
		return false, fmt.Errorf("source: read: %w", err)
	}
	if err := fsat.StatHandle(fd, &after); err != nil {
		return false, fmt.Errorf("source: stat: %w", err)
	}
	if !tree.Unchanged(&s.entry, &after, ignore) { // while it was read
		return false, nil
	}
	if uint64(n) != s.entry.Size || hash != s.entry.Hash {
		return true, ofEntry.damagef("hash %x, was %x", hash, s.entry.Hash)
	}
	return true, nil
}

// openLive opens the file in the source, name by name: mounts below it are a part of it, symbolic links are not.
func (p *spotter) openLive(s *sample) (fd int, err error) {
	at := p.source
	if s.dir != "" {
		for name := range strings.SplitSeq(s.dir, "/") {
			next, err := fsat.OpenDir(at, name)
			if at != p.source {
				err = errors.Join(err, fsat.Close(at))
			}
			if err != nil {
				return fsat.NoDir, err
			}
			at = next
		}
	}
	fd, err = fsat.OpenFile(at, s.entry.Name)
	if at != p.source {
		err = errors.Join(err, fsat.Close(at))
	}
	return fd, err
}

// stored reads the stored file, and returns the damage if it does not have the recorded content.
func (p *spotter) stored(ctx context.Context, w *worker, s *sample) error {
	names := []string{p.snapshot.Name}
	if s.dir != "" {
		names = append(names, strings.Split(s.dir, "/")...)
	}
	dir, err := fsat.OpenBelow(p.v.archive.Root, names)
	if err != nil {
		return ofEntry.lookFailed("open folder", err)
	}
	var st fsat.Stat
	err = fsat.StatAt(dir, s.entry.Name, &st)
	want := contentOf{st.Ino, s.entry.Hash, s.entry.Size}
	if p.anchored && s.entry.Stored != 0 {
		want.stored = s.entry.Stored
	}
	if err != nil {
		err = ofEntry.lookFailed("stat", err)
	} else if err = p.v.content(ctx, w, dir, &s.entry); err == nil {
		p.v.memory.sound(&want, sizeToRead(&s.entry))
	}
	return errors.Join(want.wrongContent(err), fsat.Close(dir))
}
