package main

import (
	"testing"
)

func TestVerdict(t *testing.T) {
	one := func(f field, v string) item { return item{kind: "file", size: "1", content: "c", f: v} }
	want := tree{".": {kind: "folder"}, "a": one(mode, "0644"), "b": one(mode, "0600"), "b/c": one(mode, "0600")}
	for _, test := range []struct {
		name   string
		fields []field
		got    tree
		want   string
	}{
		{"equal", []field{mode}, tree{"a": want["a"], "b": want["b"], "b/c": want["b/c"]}, "kept"},
		{"nothing there", []field{mode}, nil, "lost"},
		{"one part missing", []field{mode}, tree{"b": want["b"], "b/c": want["b/c"]}, "partly (not a)"},
		{"below a part", []field{mode}, tree{"a": want["a"], "b": want["b"]}, "partly (not b)"},
		{"all that the row is about", []field{mode},
			tree{"a": one(mode, "1"), "b": one(mode, "1"), "b/c": one(mode, "1")}, "lost"},
		{"not what the row is about", []field{owner},
			tree{"a": one(mode, "1"), "b": one(mode, "1"), "b/c": one(mode, "1")}, "kept"},
		{"one of two fields, everywhere", []field{mode, owner},
			tree{"a": one(mode, "1"), "b": one(mode, "1"), "b/c": one(mode, "1")}, "partly (not mode)"},
		{"one of two fields, once", []field{mode, owner},
			tree{"a": one(mode, "1"), "b": want["b"], "b/c": want["b/c"]}, "partly (not mode of a)"},
		{"another content", []field{mode}, tree{"a": {kind: "file", size: "1", content: "d", mode: "0644"},
			"b": want["b"], "b/c": want["b/c"]}, "partly (not a)"},
		{"too much", []field{mode}, tree{"a": want["a"], "b": want["b"], "b/c": want["b/c"], "a/new": {}},
			"partly (not names that were not there of a)"},
	} {
		if got := verdict(compare(want, test.got, test.fields)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestVerdictOfMost(t *testing.T) {
	lost := part{name: "a", lost: true}
	if got := verdict([]part{lost, lost, {name: "b"}}); got != "partly (only b)" {
		t.Errorf("got %q", got)
	}
	many := []part{{name: "1"}, {name: "2"}, {name: "3"}, {name: "4"}, {name: "5"}, {name: "6"}}
	for range 6 {
		many = append(many, lost)
	}
	if got := verdict(many); got != "partly (not a, a, a, a, 2 more)" {
		t.Errorf("got %q", got)
	}
}

func TestMerge(t *testing.T) {
	older := []part{{name: "both", lost: true}, {name: "first", lost: true}, {name: "second"}, {name: "none"},
		{name: "gone"}}
	newer := []part{{name: "both", differ: []field{mode}}, {name: "first"}, {name: "second", lost: true}, {name: "none"}}
	got := verdict(merge([][]part{older, newer}))
	if want := "partly (not old first, second, mode of both)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := verdict(merge([][]part{{{name: "a"}}, {{name: "a", lost: true}}})); got != "lost" {
		t.Errorf("lost in the second backup: %q", got)
	}
}

func TestVerdictOfTop(t *testing.T) {
	want := tree{".": {kind: "folder", mode: "0755", mtime: "1"}}
	got := tree{".": {kind: "folder", mode: "0755", mtime: "2"}}
	if cell := verdict(compare(want, got, []field{mode, mtime})); cell != "partly (not mtime)" {
		t.Errorf("got %q", cell)
	}
}

func TestAllocationMayDifferALittle(t *testing.T) {
	for got, near := range map[string]bool{"8388608": true, "8392704": true, "4096": false, "16777216": false, "": false} {
		if closeTo("8388608", got) != near {
			t.Errorf("%s: near is %v", got, !near)
		}
	}
}

func TestFill(t *testing.T) {
	p := place{src: "/s", store: "/NEW", out: "/o", n: 2, of: 3}
	knows := func(program, verb, option string) bool {
		return program == "prog" && verb == "get" && option == "--yes"
	}
	c := fill("cd OUT && prog -r STORE/repo get N PREV later~LATER [--yes] [--no]", p, knows)
	want := []string{"prog", "-r", "/NEW/repo", "get", "2", "1", "later~1", "--yes"}
	if c.dir != "/o" || len(c.argv) != len(want) {
		t.Fatalf("got %q in %q", c.argv, c.dir)
	}
	for i := range want {
		if c.argv[i] != want[i] {
			t.Errorf("word %d: %q, want %q", i, c.argv[i], want[i])
		}
	}
}

func TestShortVersion(t *testing.T) {
	for text, want := range map[string]string{
		"rsync  version 3.5.0  protocol version 32\nmore 1.2.3":    "3.5.0",
		"snapcopy (devel), go1.26.8, linux/amd64":                  "snapcopy (devel)",
		"snapcopy v1.0.0, go1.26.8":                                "1.0.0",
		"restic 0.14.0 compiled with go1.19.8 on linux/amd64":      "0.14.0",
		"tar (GNU tar) 1.34\nCopyright (C) 2021 Free Software 9.9": "1.34",
	} {
		if got := shortVersion(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
