package snapshot

import (
	"slices"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/source"
)

// Sizes of a worker's buffers. A file smaller than copyBuffer is read whole before anything is written.
const (
	copyBuffer = 1 << 20
	listBuffer = 64 << 10
)

// worker is the state of one worker of the walk.
type worker struct {
	id     int // its number
	copier filecopy.Copier
	list   []byte // for reading folders
	// looked has the source's descriptions of a batch of names, the first of which is item lookedFrom of its folder.
	looked     []source.Stat
	lookedFrom int
	lookedAt   time.Time
	freshness  time.Duration // of the source
	// notLinked are the flags that say why the current entry was not linked to a stored file.
	notLinked  index.Flags
	carriesOne bool // the current entry is carried along alone: it is told with the reason

	counts       index.Counts
	catalogOnly  archive.CatalogOnly
	limit        uint64 // links that the file system's limit prevented
	missing      uint64 // links to stored files that were gone
	rechecked    uint64 // stored files looked at before they were linked
	rehashed     uint64 // unchanged files read again
	structure    uint64 // bytes of folders made
	needs        needs
	resumed      archive.Resumed
	files, bytes uint64    // since progress was last published
	tries        int       // of the present item, this one included; 0: it is the first
	tally        *tally    // of all workers
	coverage     *coverage // of all workers
	retries      *retries  // of all workers
	_            [64]byte
}

func newWorkers(n int, src source.Source, progress *archive.Progress, t *tally, c *coverage, q *retries) []worker {
	list := make([]worker, n)
	for i := range list {
		w := &list[i]
		w.id, w.freshness, w.tally, w.coverage, w.retries = i, src.Freshness(), t, c, q
		w.list = make([]byte, listBuffer)
		w.copier.Buf = make([]byte, copyBuffer)
		w.copier.Tick = func(n int) {
			w.counts.BytesRead += uint64(n)
			progress.Read.Add(uint64(n))
		}
	}
	return list
}

// look returns the source's description of item i of d. It asks the source about all items before the given one at
// once.
func (w *worker) look(d *dir, i, before int) *source.Stat {
	if at := i - w.lookedFrom; at >= len(w.looked) {
		w.looked = slices.Grow(w.looked[:0], before-i)[:before-i]
		w.lookedFrom, w.lookedAt = i, time.Now()
		if d.handles.lost == nil {
			d.handles.src.Look(d.names[i:before], w.looked)
		}
	}
	return &w.looked[i-w.lookedFrom]
}

// forgetLooks makes look ask the source again.
func (w *worker) forgetLooks() { w.lookedFrom, w.looked = 0, w.looked[:0] }

// forgetOldLooks follows work that may have taken long.
func (w *worker) forgetOldLooks() {
	if w.freshness > 0 && time.Since(w.lookedAt) > w.freshness {
		w.forgetLooks()
	}
}

// isFull records, once for each entry, that the stored file can take no further name.
func (w *worker) isFull() {
	if w.notLinked&index.AtLinkLimit == 0 {
		w.limit++
	}
	w.notLinked |= index.AtLinkLimit
}

// isMissing records a stored file that is gone.
func (w *worker) isMissing() {
	w.missing++
	w.notLinked |= index.WasMissing
}

// countEntry counts an entry that is in the snapshot.
func (w *worker) countEntry(d *dir, i int, a Action, was string) {
	e := &d.entries[i]
	switch {
	case e.Flags&index.Kept != 0:
		a, was = Kept, ""
	case w.tally.allNew:
		a, was = New, ""
	}
	w.counts.Files++
	w.files++
	if e.Type == index.File {
		w.counts.BytesTotal += e.Size
		w.bytes += e.Size
	}
	switch a {
	case New:
		w.counts.New++
	case Changed, MetadataChanged:
		w.counts.Changed++
	case Moved:
		w.counts.Moved++
	case Unchanged:
		w.counts.Unchanged++
	case Kept:
		w.counts.Kept++
	}
	w.catalogOnly.Add(e.Flags)
	if w.tally.isTold() && !w.carriesOne {
		w.tally.tell(Item{Path: d.child(e.Name), Action: a, Type: e.Type, Size: e.Size, Was: was, AsOf: e.AsOf})
	}
}

func (w *worker) publishProgress(p *archive.Progress) {
	p.Files.Add(w.files)
	p.Bytes.Add(w.bytes)
	w.files, w.bytes = 0, 0
}
