package exclude

import (
	"fmt"
	"strings"
	"testing"
)

// manyPatterns is a list as administrators keep it: mostly extensions and names, some paths and some globs.
var manyPatterns = func() string {
	var b strings.Builder
	b.WriteString("*.o\n*.pyc\n*~\n.#*\n#keep\n*.tmp\n*.swp\nnode_modules/\n.cache/\n**/target/debug/\n/var/cache/\n")
	b.WriteString("/var/log/*.gz\n/home/*/.local/share/Trash/\n*.tar.[gx]z\n")
	b.WriteString("core.[0-9]*\n!important.tmp\n/srv/**/sessions/*\n")
	for i := range 40 {
		fmt.Fprintf(&b, "*.ext%d\nname%d\n/path/to/%d\nglob%d-*-x\n/deep/%d/**/y\n", i, i, i, i, i)
	}
	return b.String()
}()

func BenchmarkMatch(b *testing.B) {
	lists := []struct {
		name, patterns string
		fold           bool
	}{
		{"one-name", "node_modules\n", false},
		{"ten", strings.Join(strings.SplitN(manyPatterns, "\n", 12)[:11], "\n"), false},
		{"217", manyPatterns, false},
		{"217-folded", manyPatterns, true},
		{"globs-100", strings.Repeat("a*b?c[d-f]*\n", 100), false},
		{"deep", "**/a/**/b/**/c\n", false},
		{"hostile", strings.Repeat("*e*a", 20) + "*[!a-z]\n", false},
	}
	paths := []string{
		"usr/share/doc/libfoo/README.Debian",
		"home/ann/src/project/internal/walk/walk_linux.go",
		"var/lib/dpkg/info/libc6:amd64.list",
		"a/b/c",
	}
	for _, list := range lists {
		b.Run(list.name, func(b *testing.B) {
			m := fromFile(b, list.patterns, list.fold)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Match(paths[i&3], false)
				i++
			}
		})
	}
}

func BenchmarkAddFile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fromLines(b, manyPatterns)
	}
}
