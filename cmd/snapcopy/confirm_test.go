package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// Guards: only a clear yes is one; an end of input, anything else and a signal are none.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, " YES \n": nil, "yes": nil,
		"": errNotConfirmed, "\n": errNotConfirmed, "n\n": errNotConfirmed, "yesterday\n": errNotConfirmed,
	} {
		a, out, errOut := testApp(t)
		if err := a.askFrom(t.Context(), strings.NewReader(answer), "Sure?"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if errOut.String() != "Sure? [y/N] " || out.Len() > 0 {
			t.Errorf("asked %q, printed %q", errOut, out)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := testApp(t)
	if err := a.askFrom(ctx, r, "Sure?"); statusOf(err) != statusInterrupted {
		t.Errorf("interrupted: %v", err)
	}
	if err := errors.Join(w.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}
