package tree

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
)

// Guards: each inode is made once, whatever the number of workers, while its other names wait; then it is forgotten.
func TestLinksMakeOnce(t *testing.T) {
	const inodes, names = 100, 8
	var links Links[int, string]
	var made atomic.Int32
	var workers sync.WaitGroup
	for range names {
		workers.Go(func() {
			for ino := range inodes {
				group := links.Enter(ino, names)
				if group.Value == "" {
					made.Add(1)
					group.Value = "first name"
				}
				links.Leave(ino, group)
			}
		})
	}
	workers.Wait()
	if made.Load() != inodes {
		t.Errorf("%d inodes were made for %d", made.Load(), inodes)
	}
	if left := maps.Collect(links.All()); len(left) != 0 {
		t.Errorf("%d groups are remembered after their last names", len(left))
	}
}

// Guards: a group is remembered as long as names of it are missing, and if it is partial also after that; a name above
// the number begins a group anew, which does not disturb the one before.
func TestLinksForget(t *testing.T) {
	for _, partial := range []bool{false, true} {
		links := Links[string, int]{Partial: partial}
		enter := func(key string, names uint32) (before int, missing bool) {
			group := links.Enter(key, names)
			defer links.Leave(key, group)
			before, missing = group.Value, group.Missing()
			group.Value++
			return before, missing
		}
		remembered := func() int { return len(maps.Collect(links.All())) }
		enter("a", 2)
		if before, missing := enter("b", 3); before != 0 || !missing {
			t.Errorf("partial %t: first name of three: value %d, names missing: %t", partial, before, missing)
		}
		if before, missing := enter("a", 2); before != 1 || missing {
			t.Errorf("partial %t: last name: value %d, names missing: %t", partial, before, missing)
		}
		want, above := 1, 0
		if partial {
			want, above = 2, 2
		}
		if n := remembered(); n != want {
			t.Errorf("partial %t: %d groups are remembered, not %d", partial, n, want)
		}
		if before, _ := enter("a", 2); before != above {
			t.Errorf("partial %t: a name above the number finds %d, not %d", partial, before, above)
		}
	}
}

// Guards: a name that waits for a group which is forgotten meanwhile still finds the group's value, and leaves a group
// alone that was begun after it under the same key.
func TestLinksForgottenWhileWaiting(t *testing.T) {
	var links Links[string, int]
	first := links.Enter("a", 2)
	found := make(chan int)
	go func() {
		group := links.Enter("a", 2)
		found <- group.Value
		links.Leave("a", group)
		found <- 0
	}()
	for first.Missing() { // until the second name has come
	}
	first.Value = 7
	links.Leave("a", first)
	above := links.Enter("a", 2)
	if above == first {
		t.Fatal("the group is remembered after its last name")
	}
	if value := <-found; value != 7 {
		t.Errorf("the name that waited found %d", value)
	}
	<-found
	if left := maps.Collect(links.All()); left["a"] != above {
		t.Errorf("%d groups are remembered, without the one begun last", len(left))
	}
	links.Leave("a", above)
}
