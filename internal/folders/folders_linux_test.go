package folders

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"snapcopy/internal/fsat"
)

// opener opens the folders 0, 1, 2… of a new folder, and counts how often.
type opener struct {
	top   string
	asked []int
}

func newOpener(t *testing.T) *opener {
	o := &opener{top: t.TempDir()}
	for i := range 5 {
		if err := os.Mkdir(filepath.Join(o.top, strconv.Itoa(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func (o *opener) open(i int) (int, error) {
	o.asked = append(o.asked, i)
	return fsat.OpenRoot(filepath.Join(o.top, strconv.Itoa(i)))
}

func handles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// Guards: a folder is opened once as long as not too many others are asked for, no more are open than said, and Close
// leaves none open.
func TestCache(t *testing.T) {
	o := newOpener(t)
	before := handles(t)
	c := Cache[int]{Open: o.open, Most: 2}
	for _, step := range []struct {
		ask  int
		open []int // asked of the opener so far
	}{
		{0, []int{0}}, {1, []int{0, 1}}, {0, []int{0, 1}}, {2, []int{0, 1, 2}}, {1, []int{0, 1, 2}}, {0, []int{0, 1, 2, 0}},
	} {
		want, err := os.Stat(filepath.Join(o.top, strconv.Itoa(step.ask)))
		if err != nil {
			t.Fatal(err)
		}
		err = c.In(step.ask, func(fd int) error {
			var st fsat.Stat
			if err := fsat.StatHandle(fd, &st); err != nil {
				return err
			}
			got, err := os.Stat("/proc/self/fd/" + strconv.Itoa(fd))
			if err == nil && !os.SameFile(got, want) {
				err = errors.New("another folder")
			}
			return err
		})
		if err != nil || !slices.Equal(o.asked, step.open) {
			t.Errorf("folder %d: %v; opened %v, want %v", step.ask, err, o.asked, step.open)
		}
		if n := handles(t); n > before+2 {
			t.Errorf("%d handles more than before", n-before)
		}
	}
	if err := c.Close(); err != nil || handles(t) != before {
		t.Errorf("%d handles more after Close, %v", handles(t)-before, err)
	}
}

// Guards: what cannot be opened is not remembered, and the others are kept.
func TestCacheError(t *testing.T) {
	o := newOpener(t)
	c := Cache[int]{Open: o.open}
	first, err := c.Get(0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Get(9); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
	if again, err := c.Get(0); again != first || err != nil || !slices.Equal(o.asked, []int{0, 9, 9}) {
		t.Errorf("%d after %d, %v; opened %v", again, first, err, o.asked)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
