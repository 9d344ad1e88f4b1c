package main

import (
	"path/filepath"

	"snapcopy/internal/archive"
)

// rotten lists files that are damaged in the source, and says how to bring back each.
func (t *teller) rotten(r *archive.Report) {
	if r.RottenCount == 0 {
		return
	}
	shown := r.Rotten[:min(len(r.Rotten), maxFailedShown)]
	if t.verbose > 0 {
		shown = r.Rotten
	}
	t.errorf("DAMAGE FOUND IN THE SOURCE %s: %s in the archive %s, although size and times are the recorded ones:", name(r.Source),
		counted(r.RottenCount, "file differs from its recorded content", "files differ from their recorded content"), name(r.Archive))
	for _, f := range shown {
		t.errorf("  %s", name(filepath.Join(r.Source, f.Path)))
		what := "the source has " + f.Found
		if f.Error != "" {
			what = "the source's file cannot be read: " + printable(f.Error)
		}
		t.errorf("    %s; the hash recorded is %s", what, f.Recorded)
		t.errorf("    good version: snapshot %s. To bring it back: snapcopy restore %s %s --in-place --overwrite=always",
			f.Good, name(r.Archive+"@"+f.Good), name(f.Path))
		if !f.Kept {
			t.errorf("    This snapshot has what the source has: the stored file could not be linked to.")
		}
	}
	t.more(r, r.RottenCount-uint64(len(shown)))
	t.errorf("Snapshots with good versions are pinned. Until a file is restored, or changed, each run says this again. If a program "+
		"has changed a file through mapped memory, which need not change its times, it is sound: `touch` it, and the next "+
		"run stores it. Otherwise look at the disk of %s.", name(r.Source))
}
