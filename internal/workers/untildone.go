package workers

import "context"

// UntilDone calls do, which may take long or for ever and knows nothing of ctx, and returns when it ends or ctx is done.
// In the latter case the error is the cause of that, and do goes on by itself, at most to the end of the process.
func UntilDone(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
