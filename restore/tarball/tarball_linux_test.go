package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
)

// taken is a snapshot that a test has taken.
type taken struct {
	archive.OpenSnapshot
	t *testing.T
}

// take takes a snapshot of a tree, and takeIn into the archive at path.
func take(t *testing.T, source string) taken {
	t.Helper()
	return taken{testarchive.Take(t, source), t}
}

func takeIn(t *testing.T, source, path string) taken {
	t.Helper()
	return taken{testarchive.TakeIn(t, source, path), t}
}

// tar writes an archive without an error of the run itself.
func (a taken) tar(paths []string, opt Options) (*Report, []byte) {
	a.t.Helper()
	before := testtree.OpenDescriptors(a.t)
	var out bytes.Buffer
	rep, err := Write(context.Background(), a.OpenSnapshot, paths, &out, opt)
	if err != nil {
		a.t.Fatal(err)
	}
	if after := testtree.OpenDescriptors(a.t); after != before {
		a.t.Errorf("%d descriptors open before, %d after", before, after)
	}
	if !opt.Zstd && rep.BytesArchive != uint64(out.Len()) {
		a.t.Errorf("report says %d bytes, there are %d", rep.BytesArchive, out.Len())
	}
	return rep, out.Bytes()
}

func wantLeftOut(t *testing.T, rep *Report, paths ...string) {
	t.Helper()
	var got []string
	for _, f := range rep.Failed {
		got = append(got, f.Path)
	}
	slices.Sort(paths)
	if !slices.Equal(got, paths) {
		t.Errorf("left out %q, want %q\n%+v", got, paths, rep.Failed)
	}
}

func TestTarRoundTrip(t *testing.T) {
	testtree.NeedRoot(t)
	disk := testtree.NewDisk(t, "ext4", 512<<20)
	source := filepath.Join(disk.Path, "source")
	tarTorture(t, source)
	a := takeIn(t, source, filepath.Join(disk.Path, "archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, a.Catalog) })
	want := testtree.Take(t, source)
	for i, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			opt := Options{Zstd: i == 0}
			rep, archive := a.tar(nil, opt)
			wantLeftOut(t, rep, "socket")
			if rep.NotInTar != 1 || rep.FailedCount != 1 || rep.Damaged != 0 {
				t.Errorf("report: %+v", rep)
			}
			if n := int(rep.Files+rep.Dirs) + 2; n != len(want) {
				t.Errorf("report counts %d entries, the tree has %d", n, len(want))
			}
			to := filepath.Join(disk.Path, "by "+tool.name)
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
			var more []string
			if opt.Zstd {
				more = []string{"--zstd"}
			}
			if output, err := tool.extract(t, archive, to, more...); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
			sameButFor(t, want, testtree.Take(t, to), tool.loses)
		})
	}
}

// Files that are larger than a ustar header can say, and than a disk: most of them is a hole.
func TestTarHugeFiles(t *testing.T) {
	disk := testtree.NewDisk(t, "ext4", 64<<20, "-b", "4096")
	source := filepath.Join(disk.Path, "source")
	b := testarchive.Builder{T: t, Root: source}
	b.Dir("")
	sizes := map[string]int64{"9 GiB": 9 << 30, "5 TiB": 5<<40 + 3, "hole": 5 << 40}
	pieces(b, "9 GiB", sizes["9 GiB"], []int64{0, 9<<30 - 6})
	pieces(b, "5 TiB", sizes["5 TiB"], []int64{3 << 30, 4<<40 + 4096})
	pieces(b, "hole", sizes["hole"], nil)
	a := takeIn(t, source, filepath.Join(disk.Path, "archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, a.Catalog) })
	rep, archive := a.tar(nil, Options{})
	wantLeftOut(t, rep)
	if len(archive) > 1<<20 {
		t.Errorf("the archive has %d bytes", len(archive))
	}
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			to := filepath.Join(disk.Path, tool.name)
			if err := os.Mkdir(to, 0o755); err != nil {
				t.Fatal(err)
			}
			if output, err := tool.extract(t, archive, to); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			for name, size := range sizes {
				if want, got := dataOf(t, b.Path(name), size), dataOf(t, filepath.Join(to, name), size); got != want {
					t.Errorf("%s has %q, want %q", name, got, want)
				}
			}
		})
	}
}

// dataOf gives what is not a hole or zeros in a file that must have the given size.
func dataOf(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	if info, err := f.Stat(); err != nil || info.Size() != size {
		t.Fatalf("%s: size %d, want %d (%v)", path, info.Size(), size, err)
	}
	ranges, _, err := filecopy.DataRanges(int(f.Fd()), size, 1000)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, r := range ranges {
		content := make([]byte, r.End-r.Start)
		if _, err := f.ReadAt(content, r.Start); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%d-%d:%s ", r.Start, r.End, bytes.Trim(content, "\x00"))
	}
	return text
}

// members lists an archive by Go's own reader: name, kind and target.
func members(t *testing.T, archive []byte) (list []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%c %s", h.Typeflag, h.Name)
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		list = append(list, line)
	}
}

func TestTarPathsAreStoredByTheirNames(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/b/one", "x")
	b.Link("a/b/one", "a/b/c/two")
	b.Link("a/b/one", "elsewhere")
	b.File("top", "y")
	a := take(t, b.Root)
	for _, c := range []struct{ paths, want []string }{
		{nil, []string{"5 ./", "5 ./a/", "5 ./a/b/", "5 ./a/b/c/", "0 ./a/b/c/two", "1 ./a/b/one -> ./a/b/c/two",
			"1 ./elsewhere -> ./a/b/c/two", "0 ./top", "5 ./"}},
		{[]string{"/a//b/"}, []string{"5 b/", "5 b/c/", "0 b/c/two", "1 b/one -> b/c/two"}},
		{[]string{"top", "a/b/one"}, []string{"0 top", "0 one"}},
		{[]string{"a/b/c", "elsewhere"}, []string{"5 c/", "0 c/two", "1 elsewhere -> c/two"}},
		{[]string{"a/b/c/two", "a"}, []string{"0 two", "5 a/", "5 a/b/", "5 a/b/c/", "1 a/b/c/two -> two",
			"1 a/b/one -> two"}},
	} {
		rep, archive := a.tar(c.paths, Options{})
		wantLeftOut(t, rep)
		if got := members(t, archive); !slices.Equal(got, c.want) {
			t.Errorf("%q: members %q, want %q", c.paths, got, c.want)
		}
	}
	out := exclude.New()
	for _, pattern := range []string{"c/", "elsewhere"} {
		if err := out.Add(pattern, "test", 0); err != nil {
			t.Fatal(err)
		}
	}
	rep, archive := a.tar(nil, Options{Exclude: out})
	want := []string{"5 ./", "5 ./a/", "5 ./a/b/", "0 ./a/b/one", "0 ./top", "5 ./"}
	if got := members(t, archive); !slices.Equal(got, want) || rep.Excluded != 2 {
		t.Errorf("members %q, %d excluded, want %q", got, rep.Excluded, want)
	}
	for _, paths := range [][]string{{"nothing"}, {"top", "nothing"}} {
		var out bytes.Buffer
		if _, err := Write(context.Background(), a.OpenSnapshot, paths, &out, Options{}); err == nil || out.Len() > 0 {
			t.Errorf("%q: error %v, %d bytes written", paths, err, out.Len())
		}
	}
}

func TestTarLeavesDamagedFilesOut(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	large := string(testtree.Random(3<<20, 1))
	for _, name := range []string{"a flipped", "b cut", "c longer", "d gone", "e good"} {
		b.File("small/"+name, "content")
		b.File("large/"+name, large)
	}
	b.File("folder gone/file", "x")
	b.Link("small/a flipped", "small/linked to flipped")
	pieces(b, "sparse", 1<<20, []int64{1 << 19})
	a := take(t, b.Root)
	for _, dir := range []string{"small", "large"} {
		damage(t, filepath.Join(a.Dir, dir))
	}
	stored := testarchive.Builder{T: t, Root: a.Dir}
	stored.Check(os.RemoveAll(stored.Path("folder gone")))
	pieces(stored, "sparse", 1<<20, []int64{1 << 18})

	rep, archive := a.tar(nil, Options{})
	wantLeftOut(t, rep, "small/a flipped", "small/b cut", "small/c longer", "small/d gone", "small/linked to flipped",
		"large/a flipped", "large/b cut", "large/c longer", "large/d gone", "folder gone/file", "sparse")
	if rep.Damaged != 11 || rep.FailedCount != 11 {
		t.Errorf("damaged %d, failed %d, want 11", rep.Damaged, rep.FailedCount)
	}
	want := []string{"5 ./", "5 ./folder gone/", "5 ./large/", "0 ./large/e good", "5 ./small/", "0 ./small/e good",
		"5 ./"}
	if got := members(t, archive); !slices.Equal(got, want) {
		t.Errorf("members %q, want %q", got, want)
	}
}

// damage changes the stored files in a folder as their names say.
func damage(t *testing.T, dir string) {
	t.Helper()
	b := testarchive.Builder{T: t, Root: dir}
	content, err := os.ReadFile(b.Path("a flipped"))
	b.Check(err)
	content[len(content)-1] ^= 1
	b.Check(os.WriteFile(b.Path("a flipped"), content, 0o644))
	b.Check(os.Truncate(b.Path("b cut"), int64(len(content)-1)))
	b.Check(os.Truncate(b.Path("c longer"), int64(len(content)+1)))
	b.Check(os.Remove(b.Path("d gone")))
}

// A name that is lost in the archive gets its content from another one of its link group, and the time of its folder is
// right all the same.
func TestTarLinkGroupSurvivesALostName(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/first", "content")
	b.Link("a/first", "b/second")
	b.Link("a/first", "top")
	b.Mtime("a", 1_000_000_000, 7)
	b.Mtime("b", 1_000_000_001, 7)
	b.Mtime("", 1_000_000_002, 7)
	want := testtree.Take(t, b.Root)
	for _, lost := range [][]string{{"a/first"}, {"a/first", "b/second"}, {"b/second"}} {
		a := take(t, b.Root)
		for _, name := range lost {
			b.Check(os.Remove(filepath.Join(a.Dir, name)))
		}
		rep, archive := a.tar(nil, Options{})
		wantLeftOut(t, rep)
		if rep.Files != 3 || rep.Linked != 2 {
			t.Errorf("%q lost: %d files, %d of them links", lost, rep.Files, rep.Linked)
		}
		for _, tool := range tools {
			to := testarchive.TempDir(t)
			if output, err := tool.extract(t, archive, to); err != nil {
				t.Errorf("%q lost: %v\n%s", lost, err, output)
			}
			testtree.Equal(t, fmt.Sprintf("%q lost, by %s", lost, tool.name), want, testtree.Take(t, to), 0)
		}
	}
}

// An archive that ends early is not taken for a complete one, wherever it ends.
func TestTarThatEndsEarlyIsNoticed(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a", "small")
	b.File("b large", string(testtree.Random(3<<20, 1)))
	b.File("c", "small")
	a := take(t, b.Root)
	for _, zstd := range []bool{false, true} {
		for what, run := range map[string]func(opt Options, w io.Writer) error{
			"changed": func(opt Options, w io.Writer) error {
				large := filepath.Join(a.Dir, "b large")
				content, err := os.ReadFile(large)
				b.Check(err)
				defer func() { b.Check(os.WriteFile(large, content, 0o644)) }()
				opt.Fault = func(string) error {
					return os.WriteFile(large, append([]byte{^content[0]}, content[1:]...), 0o644)
				}
				_, err = Write(context.Background(), a.OpenSnapshot, nil, w, opt)
				if !errors.Is(err, tree.ErrDamaged) {
					t.Errorf("error %v, want %v", err, tree.ErrDamaged)
				}
				return err
			},
			"cancelled": func(opt Options, w io.Writer) error {
				ctx, cancel := context.WithCancel(context.Background())
				opt.Item = func(i outcome.Item) {
					if i.Path == "a" {
						cancel()
					}
				}
				rep, err := Write(ctx, a.OpenSnapshot, nil, w, opt)
				if !errors.Is(err, context.Canceled) || rep.FailedCount > 0 {
					t.Errorf("error %v, %d failed", err, rep.FailedCount)
				}
				return err
			},
		} {
			var out bytes.Buffer
			if run(Options{Zstd: zstd}, &out) == nil {
				t.Errorf("%s: no error", what)
			}
			for _, tool := range tools {
				var more []string
				if zstd {
					more = []string{"--zstd"}
				}
				to := testarchive.TempDir(t)
				if output, err := tool.extract(t, out.Bytes(), to, more...); err == nil {
					t.Errorf("%s, zstd %v: %s does not notice\n%s", what, zstd, tool.name, output)
				}
				if _, err := os.Stat(filepath.Join(to, "c")); err == nil {
					t.Errorf("%s, zstd %v: what comes later is there", what, zstd)
				}
				got, err := os.ReadFile(filepath.Join(to, "b large"))
				if tool.name == "tar" && err == nil && len(got) == 3<<20 { // bsdtar sets the length first
					t.Errorf("%s, zstd %v: %s has the changed file in its full length", what, zstd, tool.name)
				}
			}
		}
	}
}

func TestTarWriterFails(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a", string(testtree.Random(3<<20, 1)))
	b.File("b", "x")
	a := take(t, b.Root)
	full := errors.New("full")
	for _, zstd := range []bool{false, true} {
		for _, room := range []int{0, 600, 1 << 20, 3<<20 - 1<<10} {
			rep, err := Write(context.Background(), a.OpenSnapshot, nil, &bounded{room, full}, Options{Zstd: zstd})
			if !errors.Is(err, full) || rep.FailedCount > 0 || strings.Count(err.Error(), "full") != 1 {
				t.Errorf("zstd %v, room for %d: error %v, %d failed", zstd, room, err, rep.FailedCount)
			}
		}
	}
}

// bounded is a writer with room for so many bytes.
type bounded struct {
	room int
	err  error
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.room -= n
	if n < len(p) {
		return n, b.err
	}
	return n, nil
}

// Paths may be longer than one system call takes, and folders deeper than descriptors go. It is read by Go: GNU tar
// makes no path longer than PATH_MAX, and bsdtar makes it without its metadata.
func TestTarDeepTree(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.Deep("deep", 2500)
	b.File("z", "x")
	a := take(t, b.Root)
	before, most := testtree.OpenDescriptors(t), 0
	rep, archive := a.tar(nil, Options{Item: func(outcome.Item) { most = max(most, testtree.OpenDescriptors(t)) }})
	wantLeftOut(t, rep)
	if most-before > dirhandles.MaxIdle+10 {
		t.Errorf("%d descriptors were open", most-before)
	}
	list := members(t, archive)
	if want := 2500 + 50 + 4; len(list) != want {
		t.Errorf("%d members, want %d", len(list), want)
	}
	deepest := 0
	for _, m := range list {
		deepest = max(deepest, strings.Count(m, "/"))
	}
	if deepest != 2502 {
		t.Errorf("deepest member has %d elements", deepest)
	}
}

// A header that bsdtar would give up at is not written: the entry comes without its attributes.
func TestTarTooManyAttributes(t *testing.T) {
	disk := testtree.NewDisk(t, "xfs", 512<<20)
	b := testarchive.Builder{T: t, Root: filepath.Join(disk.Path, "source")}
	b.File("a", "content")
	for i := range 17 {
		b.Xattr("a", fmt.Sprintf("user.%d", i), strings.Repeat("v", 64<<10))
	}
	b.File("b", "x")
	a := takeIn(t, b.Root, filepath.Join(disk.Path, "archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, a.Catalog) })
	rep, archive := a.tar(nil, Options{})
	wantLeftOut(t, rep)
	want := []string{"5 ./", "0 ./a", "0 ./b", "5 ./"}
	if got := members(t, archive); !slices.Equal(got, want) || rep.XattrsCatalogOnly != 1 {
		t.Errorf("members %q, %d without attributes", got, rep.XattrsCatalogOnly)
	}
}

// The catalog, not the mirror, says what an entry is.
func TestTarMetadataComesFromCatalog(t *testing.T) {
	source, _, _ := testarchive.Torture(t)
	a := take(t, source)
	_, want := a.tar(nil, Options{})
	mirror := testarchive.Builder{T: t, Root: a.Dir}
	mirror.Mode("", 0o700)
	mirror.Mode("plain", 0o600)
	mirror.Mtime("plain", 5, 5)
	mirror.Check(unix.Removexattr(mirror.Path("plain"), "user.note"))
	for _, name := range []string{"fifo", "symlink"} {
		mirror.Check(os.Remove(mirror.Path(name)))
	}
	_, got := a.tar(nil, Options{})
	if !bytes.Equal(got, want) {
		t.Error("the archive is another one when metadata of the stored files change")
	}
}

// Guards: a path given twice, in whatever form, is in the archive once.
func TestSamePathTwiceInTar(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("d/f", "x")
	a := take(t, b.Root)
	for _, paths := range [][]string{{"d", "d"}, {"d/f", "/d//f", "./d/f", "d/f/"}, {"", "/", "."}} {
		if rep, _ := a.tar(paths, Options{}); rep.Files != 1 {
			t.Errorf("%q: %+v", paths, rep)
		}
	}
}
