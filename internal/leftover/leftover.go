// Package leftover recognises the files and folders that an interrupted restore leaves in the folders of a user. A
// name alone never decides: a user may have any name.
//
// A note in the target says that a restore is not finished. A note is recognised by its whole text, which is durable
// before the note has its name. A temporary name proves itself: it has a check over a random number and the inode
// number of the folder it was made in, so that a copy in another folder is not taken for a leftover.
//
// The package only names and recognises; it never creates or removes.
package leftover

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"snapcopy/internal/fsat"
)

// Prefix begins the names of notes and the temporary names of a restore.
const Prefix = ".snapcopy-restore-"

// noteName is the name of a note. If the user has that name, a number follows it.
const noteName = Prefix + "unfinished"

// NoteName returns the n-th possible name of a note, from 0.
func NoteName(n int) string {
	if n == 0 {
		return noteName
	}
	return noteName + "-" + strconv.Itoa(n+1)
}

// IsNoteName reports whether NoteName returns name for some n.
func IsNoteName(name string) bool {
	rest, ok := strings.CutPrefix(name, noteName)
	if !ok || rest == "" {
		return ok
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
	return err == nil && n > 1 && name == NoteName(n-1)
}

// noteHead begins a note and says to whoever opens it how to go on.
const noteHead = "A restore by snapcopy into this folder was cut short, or is not finished yet.\n" +
	"The same restore command goes on with it; in the end this file is removed.\n"

// maxNote exceeds the size of any note.
const maxNote = 4 << 10

// Note returns the text of a note. what identifies the restore; each of its lines ends with a newline.
func Note(what string) string {
	sum := sha256.Sum256([]byte(noteHead + what))
	return noteHead + what + hex.EncodeToString(sum[:8]) + "\n"
}

// IsNote reports whether Note made the text.
func IsNote(text string) bool {
	const check = 17
	what, ok := strings.CutPrefix(text, noteHead)
	return ok && len(what) >= check && Note(what[:len(what)-check]) == text
}

// ReadNote reads a note in an open folder. ok is false if that name is not a note.
func ReadNote(dir int, name string) (text string, ok bool, err error) {
	var st fsat.Stat
	err = fsat.StatAt(dir, name, &st)
	if fsat.IsGone(err) || err == nil && (st.Type != fsat.Regular || st.Size > maxNote) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	fd, err := fsat.OpenFile(dir, name)
	if fsat.IsGone(err) || fsat.IsOtherType(err) || fsat.IsRefused(err) { // the user who made a note can read it
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	buf := make([]byte, maxNote+1)
	n, err := fsat.Read(fd, buf, 0)
	return string(buf[:n]), err == nil && IsNote(string(buf[:n])), err
}

// HasNote reports whether an open folder has a note.
func HasNote(dir int) bool {
	const most = 4 // names to try; users do not have more of them
	for n := range most {
		if _, ok, err := ReadNote(dir, NoteName(n)); ok && err == nil {
			return true
		}
	}
	return false
}

// Temporary returns a temporary name for an entry under construction in the folder with the given inode number. random
// differs between processes and between workers.
func Temporary(random, folder uint64) string {
	return Prefix + hex16(random) + "-" + hex16(check(random, folder))
}

// ParseTemporary reports whether Temporary made a name for the folder with the given inode number, and from which
// random number.
func ParseTemporary(name string, folder uint64) (random uint64, ok bool) {
	text, ok := strings.CutPrefix(name, Prefix)
	if !ok || len(text) != 33 {
		return 0, false
	}
	random, err := strconv.ParseUint(text[:16], 16, 64)
	return random, err == nil && name == Temporary(random, folder)
}

func hex16(n uint64) string {
	b := binary.BigEndian.AppendUint64(nil, n)
	return hex.EncodeToString(b)
}

func check(random, folder uint64) uint64 {
	b := binary.BigEndian.AppendUint64([]byte("snapcopy: under construction\n"), random)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, folder))
	return binary.BigEndian.Uint64(sum[:])
}

// The endings of the folders that a restore makes beside NAME; their names begin with a dot and NAME.
const (
	swapExt    = ".snapcopy-new"
	InstantExt = ".snapcopy-instant" // see restore/instant
)

// SwapName returns the n-th possible name, from 0, of the folder in which a restore makes the tree to be exchanged for
// name.
func SwapName(name string, n int) string {
	if n == 0 {
		return "." + name + swapExt
	}
	return "." + name + swapExt + "-" + strconv.Itoa(n+1)
}

// IsSwapName reports whether SwapName returns a name for some n.
func IsSwapName(name string) bool {
	i := strings.LastIndex(name, swapExt)
	if i < 2 || name[0] != '.' {
		return false
	}
	if i+len(swapExt) == len(name) {
		return true
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name[i+len(swapExt):], "-"))
	return err == nil && n > 1 && name == SwapName(name[1:i], n-1)
}

// IsSwap reports whether an open folder of that name is the unfinished new tree of a restore.
func IsSwap(name string, fd int) bool { return IsSwapName(name) && HasNote(fd) }

// Notes returns the notes among the names of an open folder, with their texts.
func Notes(dir int, names []fsat.DirEntry) (map[string]string, error) {
	notes := make(map[string]string)
	start, _ := slices.BinarySearchFunc(names, noteName, func(e fsat.DirEntry, name string) int {
		return strings.Compare(e.Name, name)
	})
	for _, e := range names[start:] {
		if !strings.HasPrefix(e.Name, noteName) {
			break
		}
		if !IsNoteName(e.Name) {
			continue
		}
		text, ok, err := ReadNote(dir, e.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			notes[e.Name] = text
		}
	}
	return notes, nil
}

// Instant returns the name of the mountpoint if an open folder is the state folder of an instant restore, which lies
// beside its mountpoint and has the changes made in its tree. ok is false for any other folder.
func Instant(name string, fd int) (mountpoint string, ok bool) {
	if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, InstantExt) {
		return "", false
	}
	file, err := fsat.OpenFile(fd, "state.json")
	if err != nil {
		return "", false
	}
	buf := make([]byte, 64<<10)
	n, err := fsat.Read(file, buf, 0)
	var state struct {
		ID         string `json:"id"`
		Mountpoint string `json:"mountpoint"`
	}
	if errors.Join(err, fsat.Close(file)) != nil || json.Unmarshal(buf[:n], &state) != nil {
		return "", false
	}
	return path.Base(state.Mountpoint), strings.HasPrefix(state.ID, "snapcopy-") && state.Mountpoint != ""
}
