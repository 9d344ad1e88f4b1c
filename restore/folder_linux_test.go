package restore

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

const foldersScript = "dir d 0750 mtime=1000.5 xattr.user.a=1 default=u:77:rx acl=u:78:r\ndir d/e 0711 mtime=1000.6\n" +
	"file d/e/f 0644 x mtime=7\nset d/e mtime=1000.6\nset d mtime=1000.5\nset . mode=0751 mtime=8"

// Guards: a folder that exists and differs, in whatever, is left as it is and named, and mended with OverwriteChanged; a
// dry run says the same. Another time alone is no failure.
func TestFoldersThatDiffer(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, foldersScript)
	a := take(t, source)
	for _, c := range []struct{ change, failed, text, time string }{
		{"set d mode=0700", "d", "mode", ""},
		{"set d owner=1:0", "d", "owner", ""},
		{"set d/e owner=0:1", "d/e", "owner", ""},
		{"set d xattr.user.a=2", "d", "extended attributes", ""},
		{"noacl d", "d", "ACLs", ""},
		{"set d/e default=u:78:r", "d/e", "ACLs", ""},
		{"set d mtime=5", "", "", "d"},
		{"set d mode=0700 mtime=5", "d", "mode", ""},
		{"set . mtime=9", "", "", "."},
		{"set . mode=0700", ".", "mode", ""},
	} {
		t.Run(c.change, func(t *testing.T) {
			a := archived{a.OpenSnapshot, t}
			for _, where := range []Options{{}, {InPlace: true}} {
				to := testarchive.BuiltTree(t, foldersScript+"\n"+c.change)
				before := testtree.Take(t, to)
				for _, dry := range []bool{true, false} {
					opt := where
					opt.DryRun = dry
					rep := a.restore(nil, to, opt)
					testtree.Equal(t, "left as they are", before, testtree.Take(t, to), 0)
					switch {
					case strings.HasPrefix(c.change, "set . ") && !opt.InPlace:
						wantFailed(t, rep)
						if len(rep.TargetDiffers) != 1 || rep.OtherTimesCount != 0 {
							t.Errorf("the target differs in %q, %d times", rep.TargetDiffers, rep.OtherTimesCount)
						}
					case c.failed != "":
						wantFailed(t, rep, strings.Trim(c.failed, "."))
						if !errors.Is(rep.Failed[0].Err, ErrExists) || !strings.Contains(rep.Failed[0].Err.Error(), c.text) {
							t.Errorf("%v", rep.Failed[0].Err)
						}
					default:
						wantFailed(t, rep)
						if !slices.Equal(rep.OtherTimes, []string{strings.Trim(c.time, ".")}) || rep.OtherTimesCount != 1 {
							t.Errorf("times %q", rep.OtherTimes)
						}
					}
				}
				opt := where
				opt.Overwrite, opt.DryRun = OverwriteChanged, true
				if rep := a.restore(nil, to, opt); rep.Metadata != 1 {
					t.Errorf("a dry run mends %d", rep.Metadata)
				}
				testtree.Equal(t, "a dry run", before, testtree.Take(t, to), 0)
				opt.DryRun = false
				if rep := a.wantMirror(source, to, opt); rep.Metadata != 1 {
					t.Errorf("mended %d", rep.Metadata)
				}
			}
		})
	}
}

// Guards: an empty folder that somebody has made to restore into keeps what is its own, and has the snapshot's time.
func TestEmptyTargetThatExisted(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, foldersScript)
	a := take(t, source)
	for _, dry := range []bool{true, false} {
		to := testarchive.BuiltTree(t, "set . mode=1777 owner=65534:65534 acl=u:77:rwx mtime=3")
		before := testtree.Take(t, to)
		rep := a.restore(nil, to, Options{DryRun: dry})
		wantFailed(t, rep)
		if want := []string{"mode", "owner", "extended attributes or ACLs"}; !slices.Equal(rep.TargetDiffers, want) {
			t.Errorf("differs in %q", rep.TargetDiffers)
		}
		after := testtree.Take(t, to)
		was, is := before["."], after["."]
		if is.Mode != was.Mode || is.Owner != was.Owner || is.Xattrs != was.Xattrs {
			t.Errorf("it was %+v and is %+v", was, is)
		}
		if dry {
			testtree.Equal(t, "a dry run", before, after, 0)
			continue
		}
		if want := testtree.Take(t, source)["."]; is.Mtime != want.Mtime {
			t.Errorf("its time is %v", is.Mtime)
		}
		// It goes on leaving it alone.
		if rep := a.restore(nil, to, Options{}); rep.FailedCount != 0 || len(rep.TargetDiffers) != 3 {
			t.Errorf("%+v", rep)
		}
		a.wantMirror(source, to, Options{Overwrite: OverwriteChanged})
	}
	// One that is closed to others is as this restore makes it: it gets all, and the report says so.
	to := testarchive.BuiltTree(t, "set . mode=0700 mtime=3")
	if rep := a.wantMirror(source, to, Options{}); !slices.Equal(rep.TargetSet, []string{"mode"}) {
		t.Errorf("set %q", rep.TargetSet)
	}
}

// Guards: what is missing in a folder comes back, and the folder has its time again.
func TestTimeOfAFolderThatWasFilled(t *testing.T) {
	const script = "dir d 0755\nfile d/f 0644 x mtime=5\ndir d/sub 0755\nfile d/g 0644 mtime=5\nset d/sub mtime=6\n"
	source := testarchive.BuiltTree(t, script+"set d mtime=7\nset . mtime=8")
	want := testtree.Take(t, source)["d"].Mtime
	a := take(t, source)
	for _, without := range []string{"rm d/f", "rm d/sub", "rm d/g\nfile d/extra 0644"} {
		to := testarchive.BuiltTree(t, script+without+"\nset d mtime=9")
		rep := a.restore([]string{"d"}, to, Options{InPlace: true})
		wantFailed(t, rep)
		if got := testtree.Take(t, to)["d"].Mtime; got != want || rep.OtherTimesCount != 0 {
			t.Errorf("%s: time %v, other times %q", without, got, rep.OtherTimes)
		}
	}
}
