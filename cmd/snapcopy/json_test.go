package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
	"snapcopy/restore"
)

// documented gives the types that docs/json.md describes, each with the text about it.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string)
	begins := regexp.MustCompile("\n\n`([a-z]+)`[,:]")
	at := begins.FindAllStringSubmatchIndex(string(text), -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		types[string(text[m[2]:m[3]])] = string(text[m[3]:end])
	}
	return types
}

// Guards: every line of every command's --json has a type, and docs/json.md has each of its fields.
func TestJSONIsDocumented(t *testing.T) {
	types := documented(t)
	dir := t.TempDir()
	path := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for file, text := range map[string]string{"d/key": "secret", "copy": "secret", "bad\xff": "odd", "a": "a"} {
		if err := os.MkdirAll(filepath.Dir(path("src", file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path("src", file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src, arch := path("src"), path("arch")
	jobs := fmt.Sprintf("[job.home]\nsource = %q\narchive = %q\n", src, arch)
	if err := os.WriteFile(path("conf"), []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	seen := make(map[string]bool)
	for _, c := range []struct {
		line  string
		types string // of the lines that it prints at least
	}{
		{"snapshot --json -v SRC ARCH", "item run"},
		{"list --json ARCH", "snapshot"},
		{"status --json ARCH", "status"},
		{"ls -R --json ARCH", "entry"},
		{"catalog ARCH", "catalog entry"},
		{"explain --json ARCH a .", "explanation"},
		{"restore --json -v ARCH --to OUT", "item restore"},
		{"restore --json -n ARCH --in-place --delete", "restore"},
		{"tar --json -v ARCH", "item tar"},
		{"snapshot --json -n SRC ARCH", "run"},
		{"snapshot --json -q SRC ARCH", "run"},
		{"versions --json ARCH a", "version"},
		{"find --json ARCH *", "match"},
		{"diff --json ARCH SRC", ""},
		{"diff --json ARCH latest~1 latest", "change"},
		{"diff --json --summary ARCH latest~1 latest", "folder"},
		{"stats --json ARCH", "usage archive"},
		{"stats --json ARCH latest", "freed"},
		{"stats --json --top=3 ARCH", "largest"},
		{"verify --json ARCH", "verify"},
		{"repair --json ARCH", "repair"},
		{"verify --json --budget=50% ARCH", "verify"},
		{"verify --json --spot=50% ARCH", "spot"},
		{"prune --json -n --keep-last 1 ARCH", "decision plan"},
		{"forget-path --json --yes ARCH d/key", "forgotten elsewhere"},
		{"remove --json -y ARCH latest", "removal"},
		{"remove --json -y ARCH nonsense", "error"},
		{"ls --json ARCH nonsense", "error"},
		{"list --json NONE", "error"},
		{"list --json ARCH more", "error"},
		{"restore --json ARCH", "error"},
		{"version --json", "program"},
		{"acknowledge --json ARCH", ""},
		{"config show --json --config CONF home", "setting"},
		{"run --json --config CONF home", "run job"},
	} {
		words := strings.Fields(strings.NewReplacer("SRC", src, "ARCH", arch, "OUT", path("out"), "NONE", path("none"), "CONF", path("conf")).Replace(c.line))
		a, out, errOut := testApp(t)
		a.now = func() time.Time { return now }
		root := newRoot(a)
		root.SetArgs(words)
		finish(a, root.ExecuteContext(t.Context()))
		now = now.Add(time.Hour)
		if strings.HasPrefix(c.line, "snapshot --json -n") {
			if err := os.WriteFile(path("src/a"), []byte("aa"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text := out.String()
		if words[0] == "tar" {
			text = ""
		}
		for line := range strings.Lines(errOut.String()) {
			if strings.HasPrefix(line, "{") {
				text += line
			}
		}
		got := checkLines(t, c.line, text, types)
		for _, want := range strings.Fields(c.types) {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no line of type %s:\n%s%s", c.line, want, text, errOut)
			}
		}
		for _, lineType := range got {
			seen[lineType] = true
		}
	}
	for lineType := range types { // the others have tests of their own, for they need damage, mounts or tripwires
		if !seen[lineType] && !slices.Contains([]string{"finding", "damaged", "repair_item", "catalog_rebuilt", "instant", "settle", "acknowledged", "prunable"}, lineType) {
			t.Errorf("docs/json.md has the type %s, which nothing prints", lineType)
		}
	}
}

// checkLines gives the types of lines, and makes sure that they and their fields are documented.
func checkLines(t *testing.T, command, text string, types map[string]string) (list []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%s: %v: %s", command, err, line)
			continue
		}
		lineType, _ := object["type"].(string)
		about, ok := types[lineType]
		if !ok || !strings.HasPrefix(line, `{"type":`) {
			t.Errorf("%s: type %q is not documented: %s", command, lineType, line)
		}
		list = append(list, lineType)
		for field := range object {
			if !strings.Contains(about, "`"+strings.TrimSuffix(field, "_base64")+"`") && field != "type" {
				t.Errorf("%s: field %s of type %s is not documented", command, field, lineType)
			}
		}
	}
	return list
}

// Guards: a name that JSON cannot hold is beside it in base64, wherever it is, and nothing else is written otherwise for it.
func TestJSONLossless(t *testing.T) {
	type inner struct {
		Name string `json:"name"`
	}
	type outer struct {
		inner
		Target *string           `json:"target,omitempty"`
		List   []string          `json:"list,omitempty"`
		Deep   []inner           `json:"deep"`
		Far    *inner            `json:"far,omitempty"`
		Bytes  []byte            `json:"bytes"`
		Time   time.Time         `json:"time,omitzero"`
		Counts map[string]uint64 `json:"counts"`
		None   string            `json:"none,omitempty"`
		Hidden string            `json:"-"`
		secret string
	}
	odd := "o\xff"
	v := outer{inner{odd}, &odd, []string{"x", odd}, []inner{{"<y>"}, {odd}}, nil, []byte{1}, time.Unix(0, 0).UTC(), nil, "", "h", "s"}
	got, err := jsonLine("test", &v)
	want := `{"type":"test","name":"o\ufffd","name_base64":"b/8=","target":"o\ufffd","target_base64":"b/8=",` +
		`"list":["x","o\ufffd"],"list_base64":["eA==","b/8="],"deep":[{"name":"<y>"},{"name":"o\ufffd","name_base64":"b/8="}],` +
		`"bytes":"AQ==","time":"1970-01-01T00:00:00Z","counts":null}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%s\n%s, %v", got, want, err)
	}
	v = outer{inner: inner{`back\ufffdslash`}, Deep: []inner{}}
	got, err = jsonLine("test", v)
	if want := `{"type":"test","name":"back\\ufffdslash","deep":[],"bytes":null,"counts":null}` + "\n"; err != nil || string(got) != want {
		t.Errorf("%s\n%s, %v", got, want, err)
	}
	if got, err := jsonLine("test", struct{}{}); err != nil || string(got) != `{"type":"test"}`+"\n" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRestoreReportAsJSON(t *testing.T) {
	rep := restore.Report{FailedCount: 1, Failed: []outcome.Failure{{Path: "\xff", Err: fmt.Errorf("%w: x", tree.ErrDamaged)}}}
	line, err := jsonLine("restore", restoreJSON(&rep, new(lackingInSnapshot)))
	if err != nil {
		t.Fatal(err)
	}
	want := `"failed":[{"path":"\ufffd","path_base64":"/w==","error":"stored file is damaged: x","damaged":true}]`
	if !strings.Contains(string(line), want) {
		t.Errorf("%s does not contain %s", line, want)
	}
}
