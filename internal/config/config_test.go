package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testSchema has a key of each kind.
var testSchema = Schema{
	{Keys: []Key{
		{Name: "source", Kind: Text, Path: true, Needed: true, Lone: "one source a job"},
		{Name: "archive", Kind: Text, Path: true, Needed: true},
		{Name: "exclude", Kind: List},
		{Name: "wait", Kind: Text, Check: func(text string) error {
			if _, err := time.ParseDuration(text); err != nil {
				return fmt.Errorf("%q is not a time like 10m", text)
			}
			return nil
		}},
		{Name: "threads", Kind: Integer},
		{Name: "require_archive", Kind: Bool},
	}},
	{Name: "prune", Keys: []Key{{Name: "keep_daily", Kind: Value}, {Name: "keep_weekly", Kind: Value}}},
}

const home = "[job.home]\nsource = \"/home\"\narchive = \"/backup\"\n"

// Guards: each kind of wrong input has a message with its line and its remedy, and all faults of a file are told at once.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"", "f: there is no job: a job begins with a line like [job.home]"},
		{"\xff", "f: it is not UTF-8 text"},
		{"[job.home\n", "f:1: this is not TOML: expected ']' to close table name"},
		{"a = 1\na = 2\n", "f:2: this is not TOML: key a is already defined"},
		{home + home, "f:4: this is not TOML: table home already exists"},
		{"source = 1\n", "f:1: source stands before the first table: it belongs to [job.NAME] or to [defaults]"},
		{"[default]\n", "f:1: unknown key default; is it defaults?"},
		{"[xyz]\n", "f:1: unknown key xyz; a file has [defaults] and [job.NAME]"},
		{"defaults = 1\n", "f:1: defaults is no table: [defaults] has the default values, [job.NAME] is a job"},
		{"[prune]\n", "f:1: [prune] belongs to a job or to the defaults: [job.NAME.prune] or [defaults.prune]"},
		{"[job]\nsource = \"/home\"\n", "f:2: source stands in [job], which is no job: a job has a name, [job.NAME]"},
		{"[[job.home]]\n", "f:1: job.home is no table: a job begins with [job.NAME]"},
		{"[job.\"a b\"]\nsource = \"/\"\narchive = \"/b\"\n", "f:1: \"a b\" is no name for a job: it has letters, digits, dots, - and _, at most 64, and begins with a letter or a digit"},
		{"[job.x]\nsource = \"/x\"\n", "f:1: the job x has no archive"},
		{home + "exclud = []\n", "f:4: unknown key exclud; is it exclude or exclude_also?"},
		{home + "require-archive = true\n", "f:4: unknown key require-archive; is it require_archive?"},
		{home + "zzz = 1\n", "f:4: unknown key zzz"},
		{home + "password = \"x\"\n", "f:4: unknown key password; a secret does not belong into this file, but into one that it names"},
		{home + "keep_daily = 1\n", "f:4: keep_daily belongs to the table prune, as in prune = { keep_daily = ... }"},
		{home + "prune.threads = 1\n", "f:4: threads stands outside of the table prune, in the job itself or in [defaults]"},
		{home + "wait_also = \"1m\"\n", "f:4: unknown key wait_also; is it wait?"},
		{"[defaults]\nexclude_also = [\"a\"]\n" + home, "f:2: exclude_also adds to a default, and belongs to a job; in [defaults] write exclude"},
		{home + "prune = true\n", "f:4: prune takes a table, as in prune = { keep_daily = ... }, or in a job false"},
		{"defaults.prune = false\n" + home, "f:1: prune takes a table, as in prune = { keep_daily = ... }, or in a job false"},
		{home + "prune = 7\n", "f:4: prune takes a table, as in prune = { keep_daily = ... }, or in a job false"},
		{home + "exclude = \"a\"\n", "f:4: exclude takes a list, as in exclude = [\"...\"]"},
		{home + "exclude = [1]\n", "f:4: exclude takes a list of texts in quotes, and not a number"},
		{home + "exclude = [\"a\", \"\"]\n", "f:4: exclude is empty"},
		{home + "wait = 10\n", "f:4: wait takes a text in quotes, and not a number"},
		{home + "wait = \"soon\"\n", "f:4: wait: \"soon\" is not a time like 10m"},
		{home + "wait = 07:30:00\n", "f:4: wait takes a text in quotes, and not a date or a time without quotes"},
		{home + "threads = \"2\"\n", "f:4: threads takes a whole number, and not a text"},
		{home + "threads = 1.5\n", "f:4: threads takes a whole number, and not a number with a point"},
		{home + "threads = { a = 1 }\n", "f:4: threads takes a whole number, and not a table"},
		{home + "threads = [1]\n", "f:4: threads takes a whole number, and not a list"},
		{home + "require_archive = \"yes\"\n", "f:4: require_archive takes true or false, and not a text"},
		{home + "prune.keep_daily = true\n", "f:4: keep_daily takes a text in quotes or a whole number, and not true or false"},
		{"[job.a]\nsource = [\"/a\", \"/b\"]\narchive = \"/c\"\n", "f:2: source: one source a job"},
		{"[job.a]\nsource = \"a\"\narchive = \"~/c\"\n", "f:2: source: a depends on the folder in which snapcopy is started; begin it with / or ~/"},
		{"[job.a]\nsoruce = \"/a\"\narchive = 1\nthreads = true\n", "f:1: the job a has no source\n" +
			"f:2: unknown key soruce; is it source?\n" +
			"f:3: archive takes a text in quotes, and not a number\n" +
			"f:4: threads takes a whole number, and not true or false"},
	} {
		_, err := Parse("f", "/home/ada", []byte(c.content), testSchema)
		if got := fmt.Sprint(err); got != c.want {
			t.Errorf("%q gave\n%s\nwant\n%s", c.content, got, c.want)
		}
	}
}

// Guards: a fault shows the text around it, and no secret.
func TestAround(t *testing.T) {
	_, err := Parse("f", "", []byte(home+"exclude = [\n\t\"a\", 12,\n]\nsmtp_password = \"hunter2\"\n"), testSchema)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("%v", err)
	}
	want := [][]string{
		{"  4 | exclude = [", `  5 |  "a", 12,`, "    |       ^^", "  6 | ]"},
		{"  6 | ]", "  7 | smtp_password = (not shown)", "    | ^^^^^^^^^^^^^"},
	}
	for i, p := range problems {
		if diff := cmp.Diff(want[i], p.Around); diff != "" {
			t.Error(diff)
		}
	}
}

// Guards: no part of a value that may be a secret is shown, wherever it begins and ends.
func TestSecrets(t *testing.T) {
	for _, content := range []string{
		"mail = { password = \"hunter2\", api_key = \"hunter2\" }\n",
		"mail = { api_key = \"hunter2\", x = \"hunter2\" }\n",
		"password = \"\"\"\nhunter2\n\"\"\"\n",
		"password = \"\"\"\na\nb = 1\nc\nhunter2\"\"\"\nexclud = 1\n",
		"tokens = [\n \"a\",\n [\"b\"],\n \"hunter2\",\n \"hunter2\" ]\nexclud = 1\n",
	} {
		_, err := Parse("f", "", []byte(home+content), testSchema)
		var problems Problems
		if !errors.As(err, &problems) {
			t.Fatalf("%q gave %v", content, err)
		}
		for _, p := range problems {
			if text := strings.Join(append(p.Around, p.What), "\n"); strings.Contains(text, "hunter2") {
				t.Errorf("%q shows\n%s", content, text)
			}
		}
	}
	_, err := Parse("f", "", []byte(home+"password = \"a\" # b\n\nexclud = 1\nthreads = 2\n"), testSchema)
	var problems Problems
	if !errors.As(err, &problems) || !strings.Contains(strings.Join(problems[1].Around, "\n"), "threads = 2") {
		t.Errorf("a fault after a secret shows nothing: %v", problems[1].Around)
	}
}

// Guards: the file of the user wins, and that of the machine is told; without a home folder the reason is told.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	was := systemFile
	systemFile = filepath.Join(dir, "machine.toml")
	t.Cleanup(func() { systemFile = was })
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "")
	if _, _, err := Find(); err == nil || !strings.Contains(err.Error(), "HOME is not set") {
		t.Errorf("without HOME: %v", err)
	}
	if _, err := Parse("f", "", []byte("[job.a]\nsource = \"~/a\"\narchive = \"/b\"\n"), testSchema); err == nil || !strings.Contains(err.Error(), "HOME is not set") {
		t.Errorf("~/ without HOME: %v", err)
	}
	t.Setenv("XDG_CONFIG_HOME", dir)
	own := filepath.Join(dir, "snapcopy", "config.toml")
	if err := errors.Join(os.Mkdir(filepath.Dir(own), 0o755), os.WriteFile(own, nil, 0o600), os.WriteFile(systemFile, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if path, passed, err := Find(); path != own || len(passed) != 1 || passed[0] != systemFile || err != nil {
		t.Errorf("with both files: %s, %v, %v", path, passed, err)
	}
}

// Guards: a job has its own values in the place of the defaults, _also adds to a list, and each value knows its line.
func TestEffective(t *testing.T) {
	f, err := Parse("f", "/home/ada", []byte(`[defaults]
archive = "/backup"
exclude = ["*.tmp"]
prune = { keep_daily = 7, keep_weekly = "unlimited" }
[job.a]
source = ["~/a/"]
exclude_also = [
  "b",
]
[job.b]
source = "/b"
exclude = []
prune = false
[job.c]
source = "/c"
exclude = ["c"]
prune.keep_daily = 14
`), testSchema)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, j := range f.Jobs {
		fmt.Fprintf(&got, "%s:%d prune %v\n", j.Name, j.Line, j.Has("prune"))
		for _, s := range j.Settings {
			fmt.Fprintf(&got, " %s.%s %v\n", s.Section, s.Key, s.Values)
		}
	}
	const want = `a:5 prune true
 .source [{/home/ada/a 6 false}]
 .archive [{/backup 2 true}]
 .exclude [{*.tmp 3 true} {b 8 false}]
 prune.keep_daily [{7 4 true}]
 prune.keep_weekly [{unlimited 4 true}]
b:10 prune false
 .source [{/b 11 false}]
 .archive [{/backup 2 true}]
c:14 prune true
 .source [{/c 15 false}]
 .archive [{/backup 2 true}]
 .exclude [{c 16 false}]
 prune.keep_daily [{14 17 false}]
 prune.keep_weekly [{unlimited 4 true}]
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// Guards: a file that others could change is refused, and says how to mend that.
func TestUnsafeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jobs.toml")
	if err := os.WriteFile(path, []byte(home), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, dir os.FileMode
		want      string
	}{
		{0o644, 0o755, "<nil>"},
		{0o664, 0o755, path + ": others may write to it (mode 0664); `chmod go-w " + path + "` takes that from them"},
		{0o602, 0o755, path + ": others may write to it (mode 0602); `chmod go-w " + path + "` takes that from them"},
		{0o600, 0o777, path + ": others may write to its folder (mode 0777); `chmod o-w " + dir + "` takes that from them"},
		{0o600, 0o777 | os.ModeSticky, "<nil>"},
	} {
		if err := errors.Join(os.Chmod(path, c.file), os.Chmod(dir, c.dir)); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, testSchema)
		if got := fmt.Sprint(err); got != c.want {
			t.Errorf("modes %v and %v gave %s, want %s", c.file, c.dir, got, c.want)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root gives a file to another user")
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, testSchema)
	if err == nil || !strings.Contains(err.Error(), "belongs to another user (number 65534)") {
		t.Errorf("a file of another user gave %v", err)
	}
}

// Guards: no content makes the reader panic, and an accepted one has jobs with all that they need.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{home, home + "exclude = [\"a\", 1]\n", "[defaults]\nprune = {keep_daily = 7}\n" + home,
		"job = {a = {source = ['/x'], archive = '/y', prune = false}}", "[job.a]\nprune.keep_daily = [[[1]]]\n", "[[job]]\na.b = 1\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		file, err := Parse("f", "/h", []byte(content), testSchema)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%v is no list of faults", err)
			}
			return
		}
		for _, j := range file.Jobs {
			if j.Text("", "source") == "" || j.Text("", "archive") == "" {
				t.Errorf("job %q lacks a needed key", j.Name)
			}
			for _, s := range j.Settings {
				for _, v := range s.Values {
					if v.Line < 1 || v.Text == "" {
						t.Errorf("%s.%s has the value %q of line %d", s.Section, s.Key, v.Text, v.Line)
					}
				}
			}
		}
	})
}
