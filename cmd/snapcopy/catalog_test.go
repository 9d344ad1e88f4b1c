package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/zeebo/blake3"

	"snapcopy/index"
	"snapcopy/internal/testtree"
)

func TestMtreeLine(t *testing.T) {
	for want, e := range map[string]index.Entry{
		`./a\040b type=file mode=0644 uid=1 gid=2 time=3.000000004 size=5`: {
			Type: index.File, Mode: 0o644, UID: 1, GID: 2, Mtime: index.Time{Sec: 3, Nsec: 4}, Size: 5},
		`./a\040b type=link mode=0777 uid=0 gid=0 time=-1.500000000 link=\043\075\134\377`: {
			Type: index.Symlink, Mode: 0o777, Mtime: index.Time{Sec: -1, Nsec: 5e8}, Target: "#=\\\xff"},
		`./a\040b type=block mode=6000 uid=0 gid=0 time=0.000000000 device=native,8,300`: {
			Type: index.BlockDevice, Mode: 0o6000, Major: 8, Minor: 300},
	} {
		if got := mtreeLine("a b", &e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := mtreeLine("", &index.Entry{Type: index.Dir}); !strings.HasPrefix(got, ". type=dir ") {
		t.Errorf("the root is %s", got)
	}
}

// unvis is vis(3) backwards.
func unvis(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func FuzzVis(f *testing.F) {
	f.Add("plain")
	f.Add("a b\n#=\\*\xff")
	f.Fuzz(func(t *testing.T, s string) {
		v := vis(s)
		if unvis(v) != s {
			t.Fatalf("%q becomes %q", s, v)
		}
		if strings.ContainsAny(v, " \t\n#=") {
			t.Fatalf("%q would end the word", v)
		}
	})
}

// What b3sum writes about a file is what it is given to check.
func TestB3sumLine(t *testing.T) {
	testtree.Need(t, "b3sum")
	dir := t.TempDir()
	var list bytes.Buffer
	names := []string{"plain", "a b", " lead", "trail ", "new\nline", `back\slash`, `\`, "-dash", "cr\rmid", "größe", "#"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
		line, ok := b3sumLine(n, hex(blake3.Sum256([]byte(n))))
		if !ok {
			t.Errorf("%q is left out", n)
		}
		list.WriteString(line + "\n")
	}
	check := exec.Command("b3sum", "--check", "--quiet", "-")
	check.Dir, check.Stdin = dir, &list
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("b3sum: %v\n%s", err, out)
	}
	for _, n := range []string{"bad\xff", "\ufffd", "cr\r"} {
		if line, ok := b3sumLine(n, ""); ok {
			t.Errorf("%q is not left out: %q", n, line)
		}
	}
}

// The script for bash is cobra's, and its changes for '@' depend on how cobra writes it.
func TestBashCompletion(t *testing.T) {
	var script bytes.Buffer
	if err := bashCompletion(&cobra.Command{Use: "snapcopy"}, &script); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    _init_completion -n =:@ || return\n",
		"    __snapcopy_init_completion -n =:@ || return\n",
		"    __snapcopy_handle_special_char \"$cur\" =\n    __snapcopy_handle_special_char \"$cur\" @\n",
	} {
		if !strings.Contains(script.String(), want) {
			t.Errorf("the script lacks %q", want)
		}
	}
}
