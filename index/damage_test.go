package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dumpCatalog reads everything there is in a catalog.
func dumpCatalog(path string) (text string, checked error, err error) {
	c, err := Open(path)
	if err != nil {
		return "", err, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var b strings.Builder
	fmt.Fprintf(&b, "%+v %+v %v\n", c.Root(), c.Summary(), c.Devices())
	set, err := c.Xattrs(c.Root().Xattrs)
	if err != nil {
		return "", c.Check(context.Background()), err
	}
	fmt.Fprintln(&b, set)
	err = c.Walk(func(dir string, r *Record, e *Entry) error {
		set, err := c.Xattrs(e.Xattrs)
		if err != nil {
			return err
		}
		path, err := c.Path(r.ID())
		b.Write(appendPrivate(appendPublic(nil, e), e, nil))
		fmt.Fprintf(&b, " %q %q %v %v\n", dir, path, set, r.totals)
		return err
	})
	return b.String(), c.Check(context.Background()), err
}

// dumpIndex finds everything that is known to be in an index.
func dumpIndex(path string, files []storedFile) (text string, checked error, err error) {
	x, err := OpenIndex(path)
	if err != nil {
		return "", err, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	var b strings.Builder
	fmt.Fprintln(&b, x.Len(), x.Snapshots())
	for i := range files {
		f := &files[i]
		err := x.Lookup(f.e.Hash, func(loc Location) bool {
			fmt.Fprintf(&b, "%+v\n", loc)
			return true
		})
		if err != nil {
			return "", x.Check(context.Background()), err
		}
		fmt.Fprintln(&b, x.MayHave(&f.e), x.MayHave(&Entry{Size: f.e.Size, Mtime: Time{Sec: 1, Nsec: uint32(i)}}))
	}
	return b.String(), x.Check(context.Background()), nil
}

// damage runs dump on every damaged form of a file: it has to return an error or what it returns for the whole
// file, and the check must never pass.
func damage(t *testing.T, whole []byte, flipStep, cutStep int, dump func(path string) (string, error, error)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	try := func(what string, b []byte) {
		t.Helper()
		writeFile(t, path, b)
		_, checked, err := dump(path)
		if checked == nil {
			t.Errorf("%s: the check passes", what)
		}
		for _, err := range []error{checked, err} {
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	writeFile(t, path, whole)
	want, checked, err := dump(path)
	if err != nil || checked != nil {
		t.Fatal(err, checked)
	}
	right := dump
	dump = func(path string) (string, error, error) {
		got, checked, err := right(path)
		if err == nil && got != want {
			t.Errorf("a wrong answer:\n%.2000s\nwant\n%.2000s", got, want)
		}
		return got, checked, err
	}

	for n := 0; n < len(whole); n += cutStep {
		try(fmt.Sprintf("cut after %d", n), whole[:n])
	}
	for bit := 0; bit < len(whole)*8; bit += flipStep {
		b := []byte(string(whole))
		b[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), b)
	}
	try("with a byte more", append([]byte(string(whole)), 0))
	try("twice", append([]byte(string(whole)), whole...))
	try("without its first byte", whole[1:])
}

func TestDamagedCatalog(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("testdata", "v1.cat"))
	if err != nil {
		t.Fatal(err)
	}
	damage(t, whole, 3, 1, dumpCatalog)
}

func TestDamagedIndex(t *testing.T) {
	var files []storedFile
	for i := range 200 {
		f := addition(uint64(i+1), i%50+1, i%3, DirID(i), uint32(i))
		files = append(files, f)
	}
	path := filepath.Join(t.TempDir(), "index")
	x := mergeInto(t, nil, "first", path, 1000, files[:100])
	mergeInto(t, x, "second", path, 1000, files[100:])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, whole, 61, 97, func(path string) (string, error, error) { return dumpIndex(path, files) })
	for n := 0; n < len(whole); n += pageSize {
		writeFile(t, path, whole[:n])
		if _, err := OpenIndex(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut after %d: %v", n, err)
		}
	}
}

// Pages and blocks that are sound, but in each other's place.
func TestSwappedPages(t *testing.T) {
	var files []storedFile
	for i := range 300 {
		files = append(files, addition(uint64(i+1), i, 0, DirID(i), uint32(i)))
	}
	path := filepath.Join(t.TempDir(), "index")
	mergeInto(t, nil, "s", path, 1000, files)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b[pageSize : 2*pageSize])
	copy(b[pageSize:], b[2*pageSize:3*pageSize])
	copy(b[2*pageSize:], page)
	writeFile(t, path, b)
	if _, checked, err := dumpIndex(path, files); !errors.Is(checked, ErrDamaged) || !errors.Is(err, ErrDamaged) {
		t.Errorf("swapped pages: %v, %v", checked, err)
	}
}

// A newer format is told from damage, though no checksum matches.
func TestNewer(t *testing.T) {
	catalog, err := os.ReadFile(filepath.Join("testdata", "v1.cat"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	f := addition(1, 1, 1, 1, 1)
	mergeInto(t, nil, "s", path, 10, []storedFile{f})
	index, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	openCatalog := func() error { _, err := Open(path); return err }
	openIndex := func() error { _, err := OpenIndex(path); return err }
	for name, c := range map[string]struct {
		b    []byte
		at   int
		open func() error
	}{
		"catalog's header": {catalog, 9, openCatalog},
		"catalog's footer": {catalog, len(catalog) - footerSize + 17, openCatalog},
		"index":            {index, 9, openIndex},
	} {
		for version, want := range map[byte]error{0: ErrDamaged, 2: ErrNewer, 255: ErrNewer} {
			b := []byte(string(c.b))
			b[c.at] = version
			writeFile(t, path, b)
			if err := c.open(); !errors.Is(err, want) {
				t.Errorf("%s of version %d: %v, want %v", name, version, err, want)
			}
		}
	}
	for _, at := range []int{10, headerSize - 1, len(catalog) - footerSize + 18, len(catalog) - footerSize + 23} {
		b := []byte(string(catalog))
		b[at] = 1
		writeFile(t, path, b)
		if err := openCatalog(); !errors.Is(err, ErrDamaged) {
			t.Errorf("reserved byte %d is set: %v", at, err)
		}
	}
	for name, content := range map[string]string{"nothing": "", "text": strings.Repeat("hello ", 2000)} {
		writeFile(t, path, []byte(content))
		if err := errors.Join(openCatalog(), openIndex()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := openCatalog(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing catalog: %v", err)
	}
	if err := openIndex(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing index: %v", err)
	}
}
