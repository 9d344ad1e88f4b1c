package archive

import "testing"

// What was learnt once is lost only if two attempts are refused.
func TestCapabilitiesMerge(t *testing.T) {
	learnt := Capabilities{HardLinks: true, Symlinks: true, TimeResolution: 1}
	first := Capabilities{HardLinks: true, ACLs: true, TimeResolution: 2_000_000_000}
	second := Capabilities{HardLinks: true, Symlinks: true, TimeResolution: 1}
	if !first.lacks(&learnt) || second.lacks(&learnt) {
		t.Fatal("a capability that was refused is not missed, or one is missed that was not")
	}
	first.merge(&second)
	want := Capabilities{HardLinks: true, Symlinks: true, ACLs: true, TimeResolution: 1}
	if first != want {
		t.Errorf("merged: %+v, want %+v", first, want)
	}
	if first.lacks(new(Capabilities)) {
		t.Error("where nothing was learnt, something is missed")
	}
}
