package verify

import (
	"errors"
	"runtime"
	"testing"

	"snapcopy/index"
)

// Guards: a worker that meets a stored file while another one reads it waits for the outcome; it reads the file itself
// only if the other one could not.
func TestReadContentsWaits(t *testing.T) {
	want := contentOf{stored: 7, hash: index.Hash{1}, size: 3}
	damaged := ofEntry.damagef("content differs")
	for _, outcome := range []error{nil, damaged, errors.New("no memory")} {
		var c readContents
		c.init()
		if read, err := c.begin(7, &want); !read || err != nil {
			t.Fatalf("the first worker: read %v, %v", read, err)
		}
		type answer struct {
			read bool
			err  error
		}
		second := make(chan answer)
		go func() {
			read, err := c.begin(7, &want)
			second <- answer{read, err}
		}()
		for waits := false; !waits; runtime.Gosched() {
			c.mu.Lock()
			waits = c.waiting == 1
			c.mu.Unlock()
		}
		c.end(7, &want, outcome)
		expected := answer{}
		switch outcome {
		case nil:
		case damaged:
			expected.err = damaged
		default:
			expected.read = true
		}
		if got := <-second; got != expected {
			t.Errorf("after %v the second worker has %+v, want %+v", outcome, got, expected)
		}
	}
}
