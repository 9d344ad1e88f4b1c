package workers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// Guards: each number has its turn once, however many goroutines there are.
func TestEach(t *testing.T) {
	for _, goroutines := range []int{1, 3, 200} {
		var calls [100]atomic.Int32
		err := Each(t.Context(), goroutines, len(calls), func(_ context.Context, i int) error {
			calls[i].Add(1)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for i := range calls {
			if n := calls[i].Load(); n != 1 {
				t.Errorf("%d goroutines: %d calls for %d", goroutines, n, i)
			}
		}
	}
	if err := Each(t.Context(), 4, 0, nil); err != nil {
		t.Error(err)
	}
}

// Guards: an error ends it, and those under way are told by their context.
func TestEachFails(t *testing.T) {
	wrong := errors.New("wrong")
	var calls atomic.Int32
	err := Each(t.Context(), 2, 1000, func(ctx context.Context, i int) error {
		calls.Add(1)
		if i == 1 {
			return wrong
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if !errors.Is(err, wrong) || calls.Load() != 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

// Guards: when the context ends nothing is begun any more, and the cause is returned.
func TestEachCancelled(t *testing.T) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := 0
	err := Each(ctx, 1, 10, func(context.Context, int) error {
		if calls++; calls == 3 {
			cancel(cause)
		}
		return nil
	})
	if !errors.Is(err, cause) || calls != 3 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
