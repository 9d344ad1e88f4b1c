package snapshot

import (
	"testing"
	"time"
)

// Guards: a name above the link count of its inode, which comes when the last of the others is about to be made, begins a
// further stored file and is marked as such: there is no moment when the group is forgotten and not yet complete.
func TestLateName(t *testing.T) {
	for range 100 {
		g := new(linkGroups)
		g.init()
		key := inodeKey{ino: 5}
		first := g.lock(key, 2)
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.Leave(key, g.lock(key, 2))
		}()
		for _, group := range g.All() {
			for group.Missing() { // the other name waits for the group
				time.Sleep(time.Microsecond)
			}
		}
		g.Leave(key, first)
		late := g.lock(key, 3)
		if !late.Value.late {
			t.Error("the name is not known to be late")
		}
		g.Leave(key, late)
		<-done
		if t.Failed() {
			return
		}
	}
}
