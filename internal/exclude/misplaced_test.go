package exclude

import "testing"

// Guards: patterns that begin with the path of the root are found, with what they should be, and no others.
func TestMisplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, pattern, right string
		found                bool
	}{
		{"/home/ada", "/home/ada/.cache", "/.cache", true},
		{"/home/ada", "/home/ada/.cache/", "/.cache/", true},
		{"/home/ada", "!/home/ada/a/*.o", "!/a/*.o", true},
		{"/home/ada", "/home/*/.cache", "", false}, // it may be meant of other folders
		{"/home/a[d]a", `/home/a\[d]a/x`, "/x", true},
		{"src", "*", "", false},
		{"src", "src", "", false},
		{"src", "src/", "", false},
		{"src", "/src", "", true},
		{"home/ada", "*/*", "", false},
		{"/home/ada", "/home/ada", "", true},
		{"/home/ada", "/home/ada/", "", true},
		{"/home/ada", "/home/ada/**", "/**", true},
		{"/home/ada", "home/ada/.cache", "", false},
		{"/home/ada", "/home/adam/.cache", "", false},
		{"/home/ada", "/home", "", false},
		{"/home/ada", "/**/ada/x", "", false},
		{"/home/ada", "ada", "", false},
		{"/", "/home", "", false},
		{"src", "src/cache", "/cache", true},
		{"src", "/src/cache", "/cache", true},
		{"src", "srcs/cache", "", false},
		{"src", "cache/src", "", false},
	} {
		m := New()
		if err := m.Add(c.pattern, "--exclude", 0); err != nil {
			t.Fatal(err)
		}
		list := m.Misplaced(c.path)
		if (len(list) == 1) != c.found || c.found && list[0].Right != c.right {
			t.Errorf("%q in %q: %+v", c.pattern, c.path, list)
		}
	}
}
