package workers

import (
	"os"
	"runtime"
	"testing"
)

// Guards: there is a place for each worker and at least one more, and the number of workers does not grow by that.
func TestSpare(t *testing.T) {
	before, number := runtime.GOMAXPROCS(0), Number(0)
	defer runtime.GOMAXPROCS(before)
	if number < 2 || number > 16 || Number(40) != 40 {
		t.Errorf("%d workers by default, %d of 40", number, Number(40))
	}
	t.Setenv("GOMAXPROCS", "1")
	if Spare(); runtime.GOMAXPROCS(0) != before {
		t.Errorf("the environment was not heeded: %d", runtime.GOMAXPROCS(0))
	}
	if err := os.Unsetenv("GOMAXPROCS"); err != nil { // Setenv brings back what there was
		t.Fatal(err)
	}
	Spare()
	if got := runtime.GOMAXPROCS(0); got <= number || got < before {
		t.Errorf("%d places for %d workers", got, number)
	}
	if Number(0) != number {
		t.Errorf("%d workers afterwards", Number(0))
	}
}
