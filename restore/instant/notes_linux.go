package instant

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"snapcopy/internal/fsat"
)

// notes are the lists in the state folder that only grow: of damaged stored files, and of the holes of files. Each note
// is durable before the kernel copies the file. Several goroutines may add notes.
type notes struct {
	state int // handle of the state folder
	mu    sync.Mutex
}

// addDamaged records that a stored file is damaged, before it is copied and looks like any other.
func (n *notes) addDamaged(path string) error { return n.add(damagedName, strconv.Quote(path)) }

// addHoles records the holes of a file.
func (n *notes) addHoles(path string, holes []fsat.Range) error {
	var b strings.Builder
	b.WriteString(strconv.Quote(path))
	for _, h := range holes {
		fmt.Fprintf(&b, " %d-%d", h.Start, h.End)
	}
	return n.add(sparseName, b.String())
}

// add adds a line to one of the lists, durably.
func (n *notes) add(list, line string) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, err := os.OpenFile(pathAt(n.state, list), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return errors.Join(f.Sync(), fsat.Sync(n.state))
}

// damaged returns the damaged stored files. A line that a power cut left unfinished belongs to a file that was not
// copied then.
func (n *notes) damaged() ([]string, error) {
	text, err := os.ReadFile(pathAt(n.state, damagedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if path, err := strconv.Unquote(strings.TrimSuffix(line, "\n")); err == nil {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// eachWithHoles calls do for each file with holes. A hole has the form "START-END".
func (n *notes) eachWithHoles(do func(path string, holes []string) error) (err error) {
	f, err := os.Open(pathAt(n.state, sparseName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // an unfinished line belongs to a file that was not copied
			return nil
		}
		if err != nil {
			return err
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			continue // torn by a power cut
		}
		path, _ := strconv.Unquote(quoted) // it is quoted
		if err := do(path, strings.Fields(line[len(quoted):])); err != nil {
			return err
		}
	}
}
