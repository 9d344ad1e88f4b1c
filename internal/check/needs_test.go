package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Guards: a C compiler that is missing, or lacks its headers or start files, is found out before anything is built.
func TestNoRace(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(goCommand))
	t.Setenv("CGO_ENABLED", "")
	for _, c := range []struct{ compiler, script string }{
		{"missing", ""},
		{"without headers", "#!/bin/sh\nexit 1\n"},
	} {
		path := filepath.Join(t.TempDir(), "cc")
		if c.script != "" {
			if err := os.WriteFile(path, []byte(c.script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("CC", path)
		if why, compiler := noRace(); !compiler || !strings.Contains(why, "gcc") {
			t.Errorf("compiler %s: %q, %v", c.compiler, why, compiler)
		}
	}
	t.Setenv("CC", "/bin/true")
	if why, _ := noRace(); why != "" {
		t.Errorf("compiler that can do everything: %q", why)
	}
}
