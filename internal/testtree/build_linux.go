package testtree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtools"
)

// Build carries out the lines of script below dir, in order. A word with spaces or bytes of any kind is a quoted Go
// string; empty lines and lines starting with # are skipped.
//
//	dir NAME MODE [OPTION…]
//	file NAME MODE [CONTENT] [OPTION…]     replaces nothing: the name must be free
//	symlink NAME TARGET [OPTION…]
//	link NAME EXISTING                     a hard link
//	fifo NAME MODE | socket NAME MODE [OPTION…]
//	char NAME MODE MAJOR:MINOR | block NAME MODE MAJOR:MINOR [OPTION…]
//	write NAME CONTENT | append NAME CONTENT   changes the content in place
//	set NAME [OPTION…]                     changes metadata
//	truncate NAME BYTES                    cuts the content or adds a hole
//	unset NAME XATTR                       removes an extended attribute
//	noacl NAME                             removes the ACLs
//	rm NAME                                removes a name and everything below it
//	mv NAME NEW
//	chattr NAME CHANGE…                    as chattr takes them: +i, -a, =d
//	swap NAME OTHER                        two names exchange what they name, in one step
//	cp NAME NEW                            like cp -a: content and metadata, on new inodes
//
// Options: mode=0644, mtime=SECONDS.NANOSECONDS, owner=UID:GID, random=BYTES:SEED (content), hole=BYTES (a hole at the
// end), at=OFFSET:TEXT (content there, holes around it), reserve=OFFSET:BYTES (blocks without content, which do not
// make the file longer), acl=ENTRIES or default=ENTRIES as setfacl -m takes them, and xattr.NAME=VALUE.
//
// Modification times of directories are set when the whole script has been carried out.
//
// An ordinary user can carry out a script like root, as far as permissions of files that belong to the user stand in the
// way: they are lifted for as long as a line takes, and the tree can be removed at the end of the test. The test is skipped
// where a line needs root (owners, devices, attributes but user's, immutable files) or a program that is not installed.
func Build(t testing.TB, dir, script string) {
	t.Helper()
	b := builder{root: dir, times: make(map[string]unix.Timespec)}
	removable(t)
	for number, line := range strings.Split(script, "\n") {
		words, err := split(line)
		if err == nil && len(words) > 0 {
			err = b.line(words)
		}
		var impossible *ImpossibleError
		if errors.As(err, &impossible) {
			t.Skip(impossible.Reason)
		}
		if err != nil {
			t.Fatalf("testtree: line %d: %s: %v", number+1, strings.TrimSpace(line), err)
		}
	}
	if err := b.setTimes(); err != nil {
		t.Fatalf("testtree: %v", err)
	}
}

// split cuts a line into words. A quoted string may stand alone or after the = of an option.
func split(line string) (words []string, err error) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return nil, nil
	}
	for line != "" {
		plain := strings.IndexAny(line, " \t\"`")
		if plain < 0 {
			return append(words, line), nil
		}
		word := line[:plain]
		line = line[plain:]
		if line[0] == '"' || line[0] == '`' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			word, line = word+text, line[len(quoted):]
		}
		words = append(words, word)
		line = strings.TrimLeft(line, " \t")
	}
	return words, nil
}

type builder struct {
	root   string
	times  map[string]unix.Timespec
	lifted []lifted
}

func (b *builder) do(words []string) error {
	if len(words) < 2 {
		return errors.New("too few words")
	}
	verb, path, rest := words[0], filepath.Join(b.root, words[1]), words[2:]
	need := func(n int) error {
		if len(rest) < n {
			return errors.New("too few words")
		}
		return nil
	}
	switch verb {
	case "dir", "file", "fifo", "socket", "char", "block":
		if err := need(1); err != nil {
			return err
		}
		return b.create(verb, words[1], rest)
	case "symlink", "link", "write", "append", "truncate", "chattr", "unset", "mv", "swap", "cp":
		if err := need(1); err != nil {
			return err
		}
	}
	switch verb {
	case "symlink":
		if err := os.Symlink(rest[0], path); err != nil {
			return err
		}
		return b.options(path, rest[1:])
	case "link":
		return os.Link(filepath.Join(b.root, rest[0]), path)
	case "write", "append":
		return change(path, verb, rest[0])
	case "truncate":
		size, err := strconv.ParseInt(rest[0], 10, 64)
		if err != nil {
			return err
		}
		return os.Truncate(path, size)
	case "set":
		return b.options(path, rest)
	case "chattr":
		return tool("chattr", append(rest, path)...)
	case "noacl":
		return tool("setfacl", "-b", path)
	case "unset":
		return unix.Lremovexattr(path, rest[0])
	case "rm":
		if !testtools.MayDoAll() {
			if err := MakeWritable(path); err != nil {
				return err
			}
		}
		return os.RemoveAll(path)
	case "mv":
		return os.Rename(path, filepath.Join(b.root, rest[0]))
	case "swap":
		other := filepath.Join(b.root, rest[0])
		return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
	case "cp":
		return run("cp", "-a", "--reflink=never", path, filepath.Join(b.root, rest[0]))
	}
	return fmt.Errorf("unknown word %q", verb)
}

func (b *builder) create(verb, name string, rest []string) error {
	path := filepath.Join(b.root, name)
	mode64, err := strconv.ParseUint(rest[0], 8, 32)
	if err != nil {
		return err
	}
	mode, rest := uint32(mode64), rest[1:]
	switch verb {
	case "dir":
		err = unix.Mkdir(path, 0o700)
	case "file":
		content := ""
		if len(rest) > 0 && !isOption(rest[0]) {
			content, rest = rest[0], rest[1:]
		}
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_, err = f.WriteString(content)
			err = errors.Join(err, f.Close())
		}
	case "fifo":
		err = unix.Mknod(path, unix.S_IFIFO|0o600, 0)
	case "socket":
		err = unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
	case "char", "block":
		var major, minor uint32
		if len(rest) == 0 {
			return errors.New("no device number")
		}
		if _, err = fmt.Sscanf(rest[0], "%d:%d", &major, &minor); err != nil {
			return err
		}
		kind := map[string]uint32{"char": unix.S_IFCHR, "block": unix.S_IFBLK}[verb]
		err, rest = needsRoot(unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor)))), rest[1:]
	}
	if err == nil && !testtools.MayDoAll() {
		err = b.lift(name) // an inherited ACL may deny permissions
	}
	if err != nil {
		return err
	}
	return b.options(path, append(rest, fmt.Sprintf("mode=%o", mode)))
}

// optionNames are in the order in which options are applied, in which none undoes another: content, owner, attributes,
// mode, time.
var optionNames = []string{
	"random=", "hole=", "at=", "reserve=", "owner=", "xattr.", "mode=", "acl=", "default=", "mtime=",
}

func isOption(word string) bool {
	for _, name := range optionNames {
		if strings.HasPrefix(word, name) {
			return true
		}
	}
	return false
}

func (b *builder) options(path string, words []string) error {
	for _, prefix := range optionNames {
		for _, word := range words {
			if !isOption(word) {
				return fmt.Errorf("%q is no option", word)
			}
			if value, ok := strings.CutPrefix(word, prefix); ok {
				if err := b.option(path, prefix, value); err != nil {
					return fmt.Errorf("%s: %w", word, err)
				}
			}
		}
	}
	return nil
}

func (b *builder) option(path, name, value string) error {
	var x, y int64
	two := func(format string) error {
		_, err := fmt.Sscanf(value, format, &x, &y)
		return err
	}
	switch name {
	case "random=":
		if err := two("%d:%d"); err != nil {
			return err
		}
		return os.WriteFile(path, Random(int(x), uint64(y)), 0o600)
	case "hole=":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()+n)
	case "at=":
		offset, text, _ := strings.Cut(value, ":")
		n, err := strconv.ParseInt(offset, 10, 64)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(text), n)
		return errors.Join(err, f.Close())
	case "reserve=":
		if err := two("%d:%d"); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, x, y), f.Close())
	case "owner=":
		if err := two("%d:%d"); err != nil {
			return err
		}
		return needsRoot(os.Lchown(path, int(x), int(y)))
	case "xattr.":
		attr, content, _ := strings.Cut(value, "=")
		err := unix.Lsetxattr(path, attr, []byte(content), 0)
		if !strings.HasPrefix(attr, "user.") {
			err = needsRoot(err)
		}
		return err
	case "mode=":
		n, err := strconv.ParseUint(value, 8, 32)
		if err != nil {
			return err
		}
		b.keepMode(path, uint32(n))
		return unix.Chmod(path, uint32(n))
	case "acl=":
		return tool("setfacl", "-m", value, path)
	case "default=":
		return tool("setfacl", "-d", "-m", value, path)
	}
	sec, nsec, _ := strings.Cut(value, ".")
	var ts unix.Timespec
	var err error
	if ts.Sec, err = strconv.ParseInt(sec, 10, 64); err != nil {
		return err
	}
	if nsec != "" {
		if ts.Nsec, err = strconv.ParseInt((nsec + "000000000")[:9], 10, 64); err != nil {
			return err
		}
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		b.times[path] = ts
	}
	return setMtime(path, ts)
}

func setMtime(path string, ts unix.Timespec) error {
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}

func change(path, how, content string) error {
	flags := os.O_WRONLY | os.O_TRUNC
	if how == "append" {
		flags = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// Random returns n bytes that depend on seed alone.
func Random(n int, seed uint64) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// Settle waits until a change made from now on gets a later time stamp than every earlier one, by a margin at which no
// program has to take a file for one that may still be changing.
func Settle() { time.Sleep(60 * time.Millisecond) }
