package snapshot_test

import (
	"os"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

// Guards: the catalogs alone are enough to make the index anew, and moved files are then found as before.
func TestIndexMadeAnew(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 \"content\" mtime=1.5\nfile big 0644 random=2000000:1")
	testtree.Settle()
	l.Run()
	for _, damage := range []func() error{
		func() error { return os.Remove(l.Path(archive.MetaDir, archive.IndexFile)) },
		func() error { return os.Truncate(l.Path(archive.MetaDir, archive.IndexFile), 5000) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		l.Build("mv a t\nmv big a\nmv t big")
		rep := l.Run()
		if rep.IndexRebuilt == "" || rep.Counts.BytesStored > 0 {
			t.Errorf("index made anew: %q; %+v", rep.IndexRebuilt, rep.Counts)
		}
		a := l.Open()
		if err := a.RebuildIndex(t.Context()); err != nil {
			t.Error(err)
		}
		l.Close(a)
		l.Verify()
	}
	l.Intact()
}
