package tree

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Links is a book of inodes with several names. By a key of the inode, it remembers a value of whoever makes the
// names: from the first name that comes until the last one, so that memory grows with the number of inodes of which
// some names are still to come. The zero value is empty. Enter and Leave may be called by several goroutines.
type Links[K comparable, T any] struct {
	// Partial says that some names may not come, or come twice. Then no group is forgotten.
	Partial bool
	// Forgets, if set, is called with the key of a group that is about to be forgotten. Enter waits meanwhile: whoever begins
	// the group anew knows what it did.
	Forgets func(key K)

	mu     sync.Mutex
	groups map[K]*LinkGroup[T]
}

// A LinkGroup is one such inode. It is locked between Enter and Leave, so that all other names wait while one of them
// is made. Value belongs to whoever has entered the group; at first it is the zero value.
type LinkGroup[T any] struct {
	Value T

	mu   sync.Mutex
	left atomic.Int64 // names that have not come yet
}

// Enter returns the group of an inode with that number of names, locked, for one of the names.
func (l *Links[K, T]) Enter(key K, names uint32) *LinkGroup[T] {
	l.mu.Lock()
	group := l.groups[key]
	if group == nil {
		group = new(LinkGroup[T])
		group.left.Store(int64(names))
		if l.groups == nil {
			l.groups = make(map[K]*LinkGroup[T])
		}
		l.groups[key] = group
	}
	group.left.Add(-1)
	l.mu.Unlock()
	group.mu.Lock()
	return group
}

// Leave unlocks a group, and forgets it if its last name has come.
func (l *Links[K, T]) Leave(key K, group *LinkGroup[T]) {
	if !l.Partial && !group.Missing() {
		l.mu.Lock()
		if l.groups[key] == group { // not a second group, of names above the number
			if l.Forgets != nil {
				l.Forgets(key)
			}
			delete(l.groups, key)
		}
		l.mu.Unlock()
	}
	group.mu.Unlock()
}

// PutOff unlocks a group instead of Leave: the name is still to come.
func (g *LinkGroup[T]) PutOff() {
	g.left.Add(1)
	g.mu.Unlock()
}

// Missing reports whether names of the group have not come yet.
func (g *LinkGroup[T]) Missing() bool { return g.left.Load() > 0 }

// All yields the groups that are remembered, when nobody is in any of them.
func (l *Links[K, T]) All() iter.Seq2[K, *LinkGroup[T]] {
	return func(yield func(K, *LinkGroup[T]) bool) {
		for key, group := range l.groups {
			if !yield(key, group) {
				return
			}
		}
	}
}
