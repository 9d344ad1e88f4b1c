package testtools

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// How a script asks for a program.
var condition = regexp.MustCompile(`^\[(!?)exec:([^\]]+)\] ?(.*)`)

// Guards: a program that a script may do without is in the list, and is missed by the whole rest of the script, with a
// reason: single lines left out would be noticed by nobody.
func TestScriptsSkipVisibly(t *testing.T) {
	scripts, err := filepath.Glob("../../cmd/snapcopy/testdata/*.txt*")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			m := condition.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			tool, ok := Find(m[2])
			if !ok {
				t.Errorf("%s: %s is not in the list", script, m[2])
			}
			if want := "skip '" + tool.Needed() + "'"; m[1] != "!" || m[3] != want {
				t.Errorf("%s: %q has to be: [!exec:%s] %s", script, m[0], m[2], want)
			}
		}
	}
}

// Guards: the list is in order, and holds nothing that no test uses: whoever installs it does not do so in vain. No test
// looks for a program in a way of its own.
func TestListIsUsed(t *testing.T) {
	if !slices.IsSortedFunc(All, func(a, b Tool) int { return strings.Compare(a.Program, b.Program) }) {
		t.Error("the list is not in order")
	}
	var texts []string
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if err == nil && (e.Name() == ".git" || e.Name() == "testtools" || e.Name() == "check") {
				return fs.SkipDir
			}
			return err
		}
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testtree") || strings.Contains(path, "testdata/") {
			text, err := os.ReadFile(path)
			texts = append(texts, string(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range All {
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, `LookPath("`+tool.Program+`")`) }) &&
			tool.Program != "mount.exfat-fuse" { // without which another way is tried
			t.Errorf("a test looks for %s itself: testtree.Need says what holds it", tool.Program)
		}
		use := regexp.MustCompile(`"` + regexp.QuoteMeta(tool.Program) + `"|(?m:^(exec|\[!exec:)[ ]?` + regexp.QuoteMeta(tool.Program) + `\b)`)
		if !slices.ContainsFunc(texts, use.MatchString) {
			t.Errorf("no test uses %s", tool.Program)
		}
	}
}
