package snapshot

import (
	"os"
	"testing"

	"snapcopy/internal/archive"
)

// Guards: the catalogs alone are enough to make the index anew, and moved files are then found as before.
func TestIndexMadeAnew(t *testing.T) {
	l := newLab(t)
	l.build("file a 0644 \"content\" mtime=1.5\nfile big 0644 random=2000000:1")
	settle()
	l.run()
	for _, damage := range []func() error{
		func() error { return os.Remove(l.path(archive.MetaDir, archive.IndexFile)) },
		func() error { return os.Truncate(l.path(archive.MetaDir, archive.IndexFile), 5000) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		l.build("mv a t\nmv big a\nmv t big")
		rep := l.run()
		if rep.IndexRebuilt == "" || rep.Counts.BytesStored > 0 {
			t.Errorf("index made anew: %q; %+v", rep.IndexRebuilt, rep.Counts)
		}
		a := l.open()
		if err := a.RebuildIndex(t.Context()); err != nil {
			t.Error(err)
		}
		l.close(a)
		l.verify()
	}
	l.intact()
}
