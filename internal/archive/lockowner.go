package archive

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Taker says who takes the lock of an archive, and what to do while another process has it. The zero value fails at once.
type Taker struct {
	Verb string // told to other processes: "prune"
	// Held, if set, is called when another process has the lock. It returns nil, mostly after a pause, to try again, or
	// the error with which Lock fails.
	Held func(*LockedError) error
}

// LockedError reports that another process has the lock of an archive. It matches ErrLocked.
type LockedError struct {
	Archive string
	Owner   Owner
}

func (e *LockedError) Error() string {
	if !e.Owner.Known() {
		return fmt.Sprintf("archive %s is locked by another process", e.Archive)
	}
	return fmt.Sprintf("archive %s is locked by %s", e.Archive, strings.TrimSuffix(e.Owner.text(), "\n"))
}

// Is makes errors.Is match ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Owner is the process that has the lock of an archive, as the process itself has written into the lock file. The file
// is for people: the lock is the kernel's.
type Owner struct {
	PID   int // 0: it has not said
	Host  string
	Verb  string // "": it has not said
	Since time.Time
}

// Known reports whether the process with the lock has said who it is.
func (o *Owner) Known() bool { return o.PID > 0 }

const maxOwnerText = 400

func (o *Owner) text() string {
	text := fmt.Sprintf("process %d on %s since %s", o.PID, o.Host, o.Since.UTC().Format(time.RFC3339))
	if o.Verb != "" {
		text += ", snapcopy " + o.Verb
	}
	return text + "\n"
}

var ownerPattern = regexp.MustCompile(`^process ([0-9]+) on (\S*) since (\S+)(?:, snapcopy ([a-z -]+))?\n?$`)

// ownerFrom reads the text of a lock file. A process of this machine that has ended has left the text behind, and
// another program has the lock.
func ownerFrom(text string) (o Owner) {
	part := ownerPattern.FindStringSubmatch(text)
	if part == nil {
		return Owner{}
	}
	pid, err := strconv.Atoi(part[1])
	since, timeErr := time.Parse(time.RFC3339, part[3])
	if err != nil || timeErr != nil {
		return Owner{}
	}
	host, _ := os.Hostname() // without it the owner cannot be looked for
	if o = (Owner{pid, part[2], part[4], since}); o.Host == host && hasEnded(o.PID) {
		return Owner{}
	}
	return o
}

// hasEnded reports whether there is certainly no process of that number.
func hasEnded(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	_ = p.Release() // it never fails
	return errors.Is(err, os.ErrProcessDone)
}
