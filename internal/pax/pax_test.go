package pax

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/fsat"
)

var update = flag.Bool("update", false, "write the golden file anew")

var (
	long = strings.Repeat("long/", 40) + strings.Repeat("n", 101)
	when = fsat.Time{Sec: 1_600_000_000, Nsec: 120_000_000}
)

// golden has every kind of member, and every kind of record.
var golden = []struct {
	Header
	content string
}{
	{Header{Kind: Folder, Name: ".", Mode: 0o755, Mtime: fsat.Time{Sec: 1_600_000_000}}, ""},
	{Header{Kind: File, Name: "./file", Mode: 0o4755, UID: 1000, GID: 100, Mtime: when, Size: 5}, "hello"},
	{Header{Kind: HardLink, Name: "./link", Target: "./file", Mode: 0o4755, UID: 1000, GID: 100, Mtime: when}, ""},
	{Header{Kind: Symlink, Name: "./symlink", Target: "\xff", Mode: 0o777}, ""},
	{Header{Kind: Symlink, Name: "./symlink far", Target: strings.Repeat("../", 40), Mode: 0o777}, ""},
	{Header{Kind: CharDevice, Name: "./null", Mode: 0o666, Major: 1, Minor: 3}, ""},
	{Header{Kind: BlockDevice, Name: "./disk", Mode: 0o660, Major: 259, Minor: 70_000}, ""},
	{Header{Kind: Fifo, Name: "./fifo", Mode: 0o600, UID: 4_294_967_294, GID: 1 << 21}, ""},
	{Header{Kind: Folder, Name: "./" + long, Mtime: fsat.Time{Sec: -2, Nsec: 500_000_000}}, ""},
	{Header{Kind: File, Name: "./" + long + "\xfc", Mtime: fsat.Time{Sec: 1 << 33}}, ""},
	{Header{Kind: File, Name: "./attributes", Xattrs: []fsat.Xattr{
		{Name: "system.posix_acl_access", Value: []byte(exampleACL)},
		{Name: "system.posix_acl_default", Value: []byte("not an ACL")},
		{Name: "user.a=b%", Value: []byte("\x00\n= binary")},
		{Name: "user.empty"},
	}}, ""},
	{Header{Kind: File, Name: "./sparse", Size: 1 << 20, Sparse: true,
		Data: []fsat.Range{{Start: 0, End: 3}, {Start: 4096, End: 4101}}}, "abcdefgh"},
	{Header{Kind: File, Name: "./ends with data", Size: 4101, Sparse: true,
		Data: []fsat.Range{{Start: 4096, End: 4101}}}, "defgh"},
	{Header{Kind: File, Name: "./hole", Size: 5 << 40, Sparse: true}, ""},
}

func writeGolden(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for i := range golden {
		if err := w.Begin(&golden[i].Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, golden[i].content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Written() != int64(out.Len()) || out.Len()%blockSize != 0 {
		t.Errorf("%d bytes, Written says %d", out.Len(), w.Written())
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	got := writeGolden(t)
	path := filepath.Join("testdata", "members.tar")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the archive is another one than testdata/members.tar; -update writes that anew")
	}
}

// Go's own reader sees in the archive what was written.
func TestReadBack(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(writeGolden(t)))
	for i := range golden {
		want := &golden[i]
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		name := want.Name
		if want.Kind == Folder {
			name += "/"
		}
		if h.Name != name || h.Typeflag != byte(want.Kind) || h.Linkname != want.Target || h.Mode != int64(want.Mode) ||
			h.Uid != int(want.UID) || h.Gid != int(want.GID) || h.Size != want.Size ||
			h.Devmajor != int64(want.Major) || h.Devminor != int64(want.Minor) {
			t.Errorf("read %+v, want %+v", h, want.Header)
		}
		if at := time.Unix(want.Mtime.Sec, int64(want.Mtime.Nsec)); !h.ModTime.Equal(at) {
			t.Errorf("%s: time %v, want %v", want.Name, h.ModTime, at)
		}
		if want.Size > 1<<30 {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if got := strings.ReplaceAll(string(content), "\x00", ""); got != want.content {
			t.Errorf("%s: content %q, want %q", want.Name, got, want.content)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestRecordCountsItself(t *testing.T) {
	for n := range 1100 {
		var x bytes.Buffer
		record(&x, "k", strings.Repeat("v", n))
		length, _, _ := strings.Cut(x.String(), " ")
		if want := x.Len(); length != strconv.Itoa(want) {
			t.Fatalf("a record of %d bytes says %s", want, length)
		}
	}
}

func TestTimeText(t *testing.T) {
	for want, at := range map[string]fsat.Time{
		"0": {}, "-1": {Sec: -1}, "0.000000001": {Nsec: 1}, "-0.5": {Sec: -1, Nsec: 500_000_000},
		"-1.999999999": {Sec: -2, Nsec: 1}, "12.34": {Sec: 12, Nsec: 340_000_000},
		"-9223372036854775808": {Sec: -1 << 63}, "-9223372036854775807.9": {Sec: -1 << 63, Nsec: 100_000_000},
	} {
		if got := timeText(at); got != want {
			t.Errorf("timeText(%v) = %s, want %s", at, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	n := strings.Repeat("n", 100)
	p := strings.Repeat("p", 155)
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{n, true}, {n + "x", false}, {"a/" + n, true}, {p + "/" + n, true}, {p + "p/" + n, false}, {p + "/" + n + "n", false},
		{"/" + n, false}, {n + "/", false}, {p + "/a/" + n[2:], true},
	} {
		prefix, name, ok := split(c.name)
		if ok != c.ok || ok && strings.TrimPrefix(prefix+"/"+name, "/") != c.name {
			t.Errorf("split(%q) = %q, %q, %v", c.name, prefix, name, ok)
		}
	}
}

// What cannot be held leaves the archive as it was.
func TestCannotHold(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	large := []fsat.Xattr{{Name: "user.large", Value: make([]byte, maxExtended)}}
	for _, h := range []Header{
		{Kind: CharDevice, Name: "x", Major: 1 << 21},
		{Kind: File, Name: "x", Xattrs: large},
		{Kind: File, Name: strings.Repeat("x/", maxExtended/2)},
	} {
		if err := w.Begin(&h); !errors.Is(err, ErrNoPlace) || out.Len() > 0 {
			t.Errorf("%.20s: error %v, %d bytes written", h.Name, err, out.Len())
		}
		if err := w.Begin(&h); errors.Is(err, ErrHeaderSize) != (h.Kind == File) {
			t.Errorf("%.20s: error %v", h.Name, err)
		}
	}
	if err := w.Begin(&Header{Kind: File, Name: "y", Size: 3}); err != nil {
		t.Error(err)
	}
	if err := w.Begin(&Header{Kind: File, Name: "z"}); err == nil {
		t.Error("a member without its content was ended")
	}
	if _, err := w.Write([]byte("four")); err == nil {
		t.Error("more content than the header says was taken")
	}
}
