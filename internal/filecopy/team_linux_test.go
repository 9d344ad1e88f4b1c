package filecopy

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Guards: several threads find the hash, the length and the segments of zeros that one thread finds, in files of all
// lengths around the borders of pieces, also while the Team has fewer threads to spare than before.
func TestTeamHashesLikeOneThread(t *testing.T) {
	const segment = 2 * pieceSize
	random := make([]byte, 8*pieceSize)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(random)
	rng := rand.New(rand.NewPCG(5, 5))
	path := filepath.Join(t.TempDir(), "f")
	withZeros := 0
	for round := range 48 {
		content := append([]byte(nil), random[:rng.IntN(8)*pieceSize+[]int{0, 1, chunkSize - 1, chunkSize, groupSize + 1, pieceSize - 1}[round%6]]...)
		for range rng.IntN(4) {
			from := rng.IntN(len(content)+1) / pieceSize * pieceSize
			clear(content[from:min(len(content), from+rng.IntN(4*pieceSize))])
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		end := []int64{-1, int64(len(content)), int64(len(content)) + 7, int64(len(content)) * 2 / 3}[rng.IntN(4)]
		var alone contentHash
		alone.reset(segment)
		want := content
		if end >= 0 {
			want = content[:min(end, int64(len(content)))]
		}
		alone.write(want)
		wantHash, wantZeros := alone.sum()
		if wantZeros {
			withZeros++
		}
		ticks := 0
		c := Copier{Team: NewTeam(1 + round%4), Tick: func(n int) { ticks += n }}
		c.Team.enter()
		stop := make(chan struct{})
		go func() { // others come and go
			for range 200 {
				c.Team.enter()
				c.Team.leave()
			}
			close(stop)
		}()
		c.hash.reset(segment)
		c.Data = 0
		n, hash, err := c.hashJointly(context.Background(), int(f.Fd()), end)
		if err != nil || n != int64(len(want)) || hash != wantHash || c.ZeroHash != wantZeros || c.Data != n || int64(ticks) != n {
			t.Errorf("%d bytes up to %d: %d bytes (%d data, %d ticks), hash %x %v, %v; want %x %v", len(content), end, n, c.Data, ticks,
				hash, c.ZeroHash, err, wantHash, wantZeros)
		}
		<-stop
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if busy := c.Team.busy.Load(); busy != 1 {
			t.Fatalf("%d threads are busy at the end", busy)
		}
	}
	if withZeros < 8 {
		t.Fatalf("only %d contents with segments of zeros", withZeros)
	}
}

// Guards: Copy uses the Team for large files, ends with its context and with an error of the file, and the Copier is good
// for another file afterwards.
func TestTeamEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	content := make([]byte, 12*pieceSize+5)
	_, _ = rand.NewChaCha8([32]byte{6}).Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	write, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = write.Close() }() // nothing is written
	size := int64(len(content))
	_, want, err := (&Copier{Buf: make([]byte, 4096)}).Copy(context.Background(), NoFile, int(f.Fd()), size, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("stopped")
	c := Copier{Buf: make([]byte, 4096), Team: NewTeam(3)}
	c.Tick = func(int) {
		if c.Data > 4*pieceSize {
			cancel(stopped)
		}
	}
	n, got, err := c.Copy(ctx, NoFile, int(f.Fd()), size, false)
	if readAll := err == nil && n == size && got == want; !readAll && (err != stopped || n < 5*pieceSize) { // one may be far ahead
		t.Errorf("cancelled: %d bytes, %v", n, err)
	}
	if n, _, err := c.Copy(ctx, NoFile, int(f.Fd()), size, false); err != stopped || n != 0 {
		t.Errorf("cancelled before: %d bytes, %v", n, err)
	}
	c.Tick = nil
	if _, _, err := c.Copy(context.Background(), NoFile, int(write.Fd()), size, false); !errors.Is(err, unix.EBADF) {
		t.Errorf("unreadable: %v", err)
	}
	for _, expected := range []int64{size, 3} {
		n, got, err := c.Copy(context.Background(), NoFile, int(f.Fd()), expected, false)
		if err != nil || n != size || got != want {
			t.Errorf("%d bytes, hash %x, %v; want %x", n, got, err, want)
		}
	}
	if busy := c.Team.busy.Load(); busy != 0 {
		t.Errorf("%d threads are busy at the end", busy)
	}
}
