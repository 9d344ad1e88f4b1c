package testtree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// verbs are the first words of lines; each is carried out at the name that follows, with the rest of the line, of at least
// as many words as needed.
var verbs = map[string]struct {
	needed int
	do     func(b *builder, path string, rest []string) error
}{
	"symlink": {1, (*builder).symlink},
	"link": {1, func(b *builder, path string, rest []string) error {
		return os.Link(filepath.Join(b.root, rest[0]), path)
	}},
	"write": {1, func(_ *builder, path string, rest []string) error {
		return write(path, os.O_TRUNC, rest[0])
	}},
	"append": {1, func(_ *builder, path string, rest []string) error {
		return write(path, os.O_APPEND, rest[0])
	}},
	"truncate": {1, func(_ *builder, path string, rest []string) error {
		size, err := strconv.ParseInt(rest[0], 10, 64)
		if err != nil {
			return err
		}
		return os.Truncate(path, size)
	}},
	"set": {0, (*builder).options},
	"chattr": {1, func(_ *builder, path string, rest []string) error {
		return tool("chattr", append(rest, path)...)
	}},
	"noacl": {0, func(_ *builder, path string, _ []string) error {
		return tool("setfacl", "-b", path)
	}},
	"unset": {1, func(_ *builder, path string, rest []string) error {
		return unix.Lremovexattr(path, rest[0])
	}},
	"rm": {0, func(_ *builder, path string, _ []string) error {
		if !testtools.MayDoAll() {
			if err := MakeWritable(path); err != nil {
				return err
			}
		}
		return os.RemoveAll(path)
	}},
	"mv": {1, func(b *builder, path string, rest []string) error {
		return os.Rename(path, filepath.Join(b.root, rest[0]))
	}},
	"swap": {1, func(b *builder, path string, rest []string) error {
		other := filepath.Join(b.root, rest[0])
		return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
	}},
	"cp": {1, func(b *builder, path string, rest []string) error {
		return run("cp", "-a", "--reflink=never", path, filepath.Join(b.root, rest[0]))
	}},
}

func (b *builder) do(words []string) error {
	if len(words) < 2 {
		return errTooFew
	}
	word, name, rest := words[0], words[1], words[2:]
	if isType(word) {
		return b.create(word, name, rest)
	}
	verb, ok := verbs[word]
	switch {
	case !ok:
		return fmt.Errorf("unknown word %q", word)
	case len(rest) < verb.needed:
		return errTooFew
	}
	return verb.do(b, filepath.Join(b.root, name), rest)
}

var errTooFew = errors.New("too few words")

func (b *builder) symlink(path string, rest []string) error {
	if err := os.Symlink(rest[0], path); err != nil {
		return err
	}
	return b.options(path, rest[1:])
}

// isType reports whether a line that begins with a word makes an inode of that type, with a mode.
func isType(word string) bool {
	return slices.Contains([]string{"dir", "file", "fifo", "socket", "char", "block"}, word)
}

func (b *builder) create(verb, name string, rest []string) error {
	if len(rest) == 0 {
		return errTooFew
	}
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
		err = write(path, os.O_CREATE|os.O_EXCL, content)
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

// An option is what follows a prefix in a word: its value is applied to the inode at path.
type option struct {
	prefix string
	apply  func(b *builder, path, value string) error
}

// optionsInOrder are in the order in which options are applied, in which none undoes another: content, owner, attributes,
// mode, time.
var optionsInOrder = []option{
	{"random=", random},
	{"hole=", hole},
	{"at=", textAt},
	{"reserve=", reserve},
	{"owner=", owner},
	{"xattr.", xattr},
	{"mode=", (*builder).mode},
	{"acl=", func(_ *builder, path, value string) error { return tool("setfacl", "-m", value, path) }},
	{"default=", func(_ *builder, path, value string) error { return tool("setfacl", "-d", "-m", value, path) }},
	{"mtime=", (*builder).mtime},
}

func isOption(word string) bool {
	return slices.ContainsFunc(optionsInOrder, func(o option) bool { return strings.HasPrefix(word, o.prefix) })
}

func (b *builder) options(path string, words []string) error {
	for _, word := range words {
		if !isOption(word) {
			return fmt.Errorf("%q is no option", word)
		}
	}
	for _, o := range optionsInOrder {
		for _, word := range words {
			if value, ok := strings.CutPrefix(word, o.prefix); ok {
				if err := o.apply(b, path, value); err != nil {
					return fmt.Errorf("%s: %w", word, err)
				}
			}
		}
	}
	return nil
}

// two returns the numbers of a value X:Y.
func two(value string) (x, y int64, err error) {
	_, err = fmt.Sscanf(value, "%d:%d", &x, &y)
	return x, y, err
}

func random(_ *builder, path, value string) error {
	size, seed, err := two(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, Random(int(size), uint64(seed)), 0o600)
}

func hole(_ *builder, path, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()+n)
}

func textAt(_ *builder, path, value string) error {
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
}

func reserve(_ *builder, path, value string) error {
	offset, n, err := two(value)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, n), f.Close())
}

func owner(_ *builder, path, value string) error {
	uid, gid, err := two(value)
	if err != nil {
		return err
	}
	return needsRoot(os.Lchown(path, int(uid), int(gid)))
}

func xattr(_ *builder, path, value string) error {
	attr, content, _ := strings.Cut(value, "=")
	err := unix.Lsetxattr(path, attr, []byte(content), 0)
	if !strings.HasPrefix(attr, "user.") {
		err = needsRoot(err)
	}
	return err
}

func (b *builder) mode(path, value string) error {
	n, err := strconv.ParseUint(value, 8, 32)
	if err != nil {
		return err
	}
	b.keepMode(path, uint32(n))
	return unix.Chmod(path, uint32(n))
}

func (b *builder) mtime(path, value string) error {
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

func write(path string, how int, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|how, 0o600)
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
