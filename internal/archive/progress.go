package archive

import "sync/atomic"

// Phase is the current activity of a run.
type Phase int32

// The phases of a run, in order.
const (
	Preparing Phase = iota
	Copying
	Retrying // waiting before entries are tried again
	Syncing
	Publishing
	Emptying   // the trash
	Abandoning // removing the work of a run that failed or was cancelled
	Finished
)

// Progress counts the work of a run so far; it may be read while the run goes on.
type Progress struct {
	Phase                  atomic.Int32
	Files, Bytes           atomic.Uint64 // looked at; bytes of those files
	Read                   atomic.Uint64 // bytes read from the source
	ExpectFiles, ExpectAll atomic.Uint64 // files and bytes of the previous snapshot; 0: unknown
}
