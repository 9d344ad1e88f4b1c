package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"snapcopy/internal/archive"
	"snapcopy/restore/instant"
)

// An argument can name the right thing in the form of another command: ARCHIVE@SNAPSHOT or a snapshot's folder where a
// whole archive is needed, a path in a snapshot where the PATH is an argument of its own. Such a command line is answered
// with the right one.

// A meaning is what an argument says of an archive.
type meaning struct {
	archive  string // its path, as the argument begins where that is possible
	selector string // of a snapshot; "": none
	path     string // below the snapshot, or below the archive if there is no selector; "": the top
}

func (m meaning) whole() bool { return m.selector == "" && m.path == "" }

// place is the meaning without its path, as a person types it.
func (m meaning) place() string {
	if m.selector == "" {
		return m.archive
	}
	return m.archive + "@" + m.selector
}

// paths returns the PATH arguments that go with the meaning, given those that follow it.
func (m meaning) paths(rest []string) []string {
	if m.selector == "" || m.path == "" {
		return rest
	}
	if len(rest) == 0 {
		return []string{asPath(m.path)}
	}
	joined := make([]string, len(rest))
	for i, p := range rest {
		joined[i] = asPath(p)
		if p != m.path {
			joined[i] = asPath(path.Join(m.path, p))
		}
	}
	return joined
}

// asPath writes a path so that it is taken for no flag.
func asPath(p string) string {
	if strings.HasPrefix(p, "-") {
		return "./" + p
	}
	return p
}

// meaningOf finds the archive that an argument leads to: itself, the part before an @, or a folder above.
func meaningOf(arg string) (m meaning, ok bool) {
	if arg == "" {
		return m, false
	}
	if isArchive(arg) {
		return meaning{archive: arg}, true
	}
	for i := len(arg) - 1; i > 0 && !exists(arg); i-- {
		if arg[i] == '@' && isArchive(arg[:i]) {
			m.archive = arg[:i]
			m.selector, m.path, _ = strings.Cut(arg[i+1:], "/")
			m.path = strings.Trim(m.path, "/")
			return m, m.selector != ""
		}
	}
	return meaningAbove(arg)
}

// meaningAbove is meaningOf for a path below an archive.
func meaningAbove(arg string) (m meaning, ok bool) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return m, false
	}
	dir := filepath.Dir(abs)
	for ; !isArchive(dir); dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return m, false
		}
	}
	below := strings.TrimPrefix(abs[len(dir):], string(filepath.Separator))
	m.archive = dir
	if typed, ends := strings.CutSuffix(filepath.Clean(arg), string(filepath.Separator)+below); ends && typed != "" {
		m.archive = typed
	}
	first, rest, _ := strings.Cut(filepath.ToSlash(below), "/")
	if first == archive.LatestLink || archive.IsName(first) {
		m.selector, m.path = first, rest
	} else {
		m.path = filepath.ToSlash(below)
	}
	return m, true
}

// sameArchive returns the meaning of an argument that leads to the same archive as m.
func (m meaning) sameArchive(arg string) (other meaning, ok bool) {
	other, ok = meaningOf(arg)
	if !ok {
		return other, false
	}
	a, errA := filepath.Abs(m.archive)
	b, errB := filepath.Abs(other.archive)
	return other, errA == nil && errB == nil && a == b
}

// checkForm refuses arguments in the form of another command, and says what to type.
func (a *app) checkForm(c *cobra.Command, args []string) error {
	words := argWords(c)
	if slices.Equal(words, []string{"MOUNTPOINT"}) && len(args) > 0 {
		return a.checkMountpoint(c, args)
	}
	at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(strings.Trim(w, "[]"), "ARCHIVE") })
	if at < 0 || at >= len(args) {
		return nil
	}
	m, ok := meaningOf(args[at])
	if at > 0 {
		return a.checkNewest(c, args, m)
	}
	if !ok {
		return nil
	}
	rest := args[at+1:]
	switch word := strings.Trim(words[at], "[]"); {
	case c.Name() == "diff":
		return a.checkDiff(c, args, m)
	case strings.HasPrefix(word, "ARCHIVE@") || strings.HasPrefix(word, "ARCHIVE[@"):
		return a.checkPlace(c, args, m, rest)
	}
	return a.checkWhole(c, args, m, rest)
}

// misformed is the error for arguments in the form of another command. right are the arguments in the right form.
func (a *app) misformed(c *cobra.Command, args, right []string, also, format string, more ...any) error {
	text := subjectOf(c, right).of(fmt.Sprintf(format, more...))
	u := &usageError{command: c.CommandPath(), err: errors.New(text)}
	u.hint = "type " + a.commandLine(c, args, right)
	if also != "" {
		u.hint += "; " + also
	}
	return u
}

// commandLine returns the command that was typed with other arguments, and the same flags, for a person to copy.
func (a *app) commandLine(c *cobra.Command, args, right []string) string {
	words := slices.Clone(a.typed)
	first := len(words)
	for _, arg := range slices.Backward(args) {
		i := first - 1
		for i >= 0 && words[i] != arg {
			i--
		}
		if i < 0 { // not from the command line
			words, first = strings.Fields(c.CommandPath())[1:], -1
			break
		}
		words, first = slices.Delete(words, i, i+1), i
	}
	if first < 0 {
		first = len(words)
	}
	words = slices.Insert(words, first, right...)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return "`" + c.Root().Name() + " " + strings.Join(words, " ") + "`"
}

// checkMountpoint refuses an archive, a snapshot or a path in one where the MOUNTPOINT of an instant restore is needed,
// unless it is one: its tree can have an archive.
func (a *app) checkMountpoint(c *cobra.Command, args []string) error {
	m, ok := meaningOf(args[0])
	if !ok {
		return nil
	}
	if _, err := instant.Read(args[0]); !errors.Is(err, instant.ErrNotInstant) && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	places := args[1:]
	if len(places) == 0 {
		places = a.mountpoints(m.archive)
	}
	is := "is an archive"
	if !m.whole() {
		is = "lies in an archive"
	}
	u := &usageError{command: c.CommandPath(), hint: "give the MOUNTPOINT that `snapcopy instant` was given",
		err: fmt.Errorf("%s %s, and `%s` takes the mountpoint of an instant restore", name(args[0]), is, c.CommandPath())}
	if len(places) == 1 {
		u.hint = "type " + a.commandLine(c, args, places)
	}
	return u
}

// mountpoints returns where snapshots of an archive are mounted on this machine, or wait to be settled, as far as the
// archive has a note of it.
func (a *app) mountpoints(path string) (list []string) {
	arch, err := archive.Open(path)
	if err != nil {
		return nil
	}
	readers, err := arch.Readers.All()
	if arch.Close() != nil || err != nil {
		return nil
	}
	for _, r := range readers {
		if here := archive.NewReader(r.Snapshot, r.Place, r.Since); r.Host == here.Host && r.Place != "" {
			list = append(list, r.Place)
		}
	}
	return list
}

// checkNewest checks the ARCHIVE that a new snapshot goes to. A path below a snapshot is judged by the archive.
func (a *app) checkNewest(c *cobra.Command, args []string, m meaning) error {
	isCut := m.archive != "" && m.archive+"@" == args[1] // nothing follows the @, as in ARCHIVE@$NAME with an unset NAME
	if m.path != "" || m.selector == "" && !isCut {
		return nil
	}
	right := slices.Clone(args)
	right[len(right)-1] = m.archive
	if isCut || !a.selects(m.archive, m.selector) {
		return a.misformed(c, args, right, "for a new archive of that name, make its folder first: `mkdir -m 700 "+shellWord(args[1])+"`",
			"%s names a snapshot, and the archive, %s, does not have it; a new one goes to the archive", name(args[1]), name(m.archive))
	}
	return a.misformed(c, args, right, "", "%s is a snapshot, which never changes; a new one goes to the archive, %s", name(args[1]), name(m.archive))
}

// selects reports whether an archive has the snapshot.
func (a *app) selects(path, selector string) bool {
	arch, err := archive.Open(path)
	if err != nil {
		return false
	}
	_, err = arch.Select(selector, a.now(), a.loc)
	return arch.Close() == nil && err == nil
}

// checkPlace checks the arguments of a command that takes ARCHIVE[@SNAPSHOT].
func (a *app) checkPlace(c *cobra.Command, args []string, m meaning, rest []string) error {
	words := argWords(c)
	takesPath := len(words) > 1 && strings.Contains(words[1], "PATH")
	switch {
	case m.selector == "" && m.path != "":
		return a.misformed(c, args, append([]string{m.archive}, rest...), "", "%s is no archive, but lies in one, %s", name(args[0]), name(m.archive))
	case m.path != "" && takesPath:
		return a.misformed(c, args, append([]string{m.place()}, m.paths(rest)...), "",
			"%s lies in a snapshot: the PATH is an argument of its own", name(args[0]))
	case m.path != "":
		return a.misformed(c, args, append([]string{m.place()}, rest...), "", "%s lies in a snapshot, and `%s` takes a whole one",
			name(args[0]), c.CommandPath())
	case m.whole() && !takesPath && len(args) > len(words):
		if selector, ok := a.snapshotMeant(m, args[1]); ok {
			return a.misformed(c, args, append([]string{m.archive + "@" + selector}, args[2:]...), "",
				"the snapshot %s is an argument of its own, and belongs behind an @ after the archive", name(args[1]))
		}
	}
	return nil
}

// snapshotMeant returns the selector if an argument means a snapshot of the archive of m: SNAPSHOT, ARCHIVE@SNAPSHOT or
// ARCHIVE/SNAPSHOT.
func (a *app) snapshotMeant(m meaning, arg string) (selector string, ok bool) {
	if a.selects(m.archive, arg) {
		return arg, true
	}
	other, ok := m.sameArchive(arg)
	return other.selector, ok && other.selector != ""
}

// alsoFor are the commands that do for one snapshot what others do for a whole archive: %[1]s is the archive, %[2]s the
// snapshot, %[3]s both.
var alsoFor = map[string]string{
	"list":          "`snapcopy ls %[3]s` lists the content of the snapshot",
	"find":          "`snapcopy ls -R %[3]s` lists the content of the snapshot",
	"prune":         "`snapcopy remove %[1]s %[2]s` removes that snapshot",
	"repair":        "`snapcopy verify %[3]s` examines that snapshot alone",
	"index rebuild": "`snapcopy catalog rebuild %[3]s` makes the catalog of that snapshot anew",
}

// checkWhole checks the arguments of a command that takes a whole ARCHIVE.
func (a *app) checkWhole(c *cobra.Command, args []string, m meaning, rest []string) error {
	words := argWords(c)
	takes := ""
	if len(words) > 1 {
		takes = strings.Trim(words[1], "[].")
	}
	verb := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	also := ""
	if format := alsoFor[verb]; format != "" && m.selector != "" {
		also = fmt.Sprintf(format, shellWord(m.archive), shellWord(m.selector), shellWord(m.place()))
	}
	right := []string{m.archive}
	switch {
	case takes == "SNAPSHOT":
		return a.checkSnapshots(c, args, m, rest)
	case takes == "PATH":
		right = append(right, m.paths(rest)...)
	case takes != "":
		right = append(right, rest...)
	case m.whole() && len(args) == 2:
		if selector, ok := a.snapshotMeant(m, args[1]); ok {
			m.selector = selector
		}
	}
	switch {
	case m.selector == "" && m.path != "":
		return a.misformed(c, args, right, "", "%s is no archive, but lies in one, %s", name(args[0]), name(m.archive))
	case m.selector != "":
		return a.misformed(c, args, right, also, "%s names a snapshot, and `%s` takes a whole archive", name(args[len(args)-len(rest)-1]), c.CommandPath())
	}
	return nil
}

// checkSnapshots checks the arguments of a command that takes ARCHIVE and then snapshots.
func (a *app) checkSnapshots(c *cobra.Command, args []string, m meaning, rest []string) error {
	right, wrong := []string{m.archive}, ""
	if !m.whole() {
		wrong = args[0]
	}
	if m.selector != "" {
		right = append(right, m.selector)
	}
	for _, arg := range rest {
		if other, ok := m.sameArchive(arg); ok && other.selector != "" && !a.selects(m.archive, arg) {
			wrong, arg = arg, other.selector
		}
		right = append(right, arg)
	}
	switch {
	case wrong == "":
		return nil
	case m.selector == "" && m.path != "":
		return a.misformed(c, args, right, "", "%s is no archive, but lies in one, %s", name(wrong), name(m.archive))
	}
	return a.misformed(c, args, right, "", "%s names a snapshot: in `%s`, archive and snapshot are arguments of their own", name(wrong), c.CommandPath())
}

// checkDiff checks the arguments of diff, whose first one may name a snapshot if the second is a folder outside of the
// archive.
func (a *app) checkDiff(c *cobra.Command, args []string, m meaning) error {
	if m.selector == "" && m.path != "" {
		return a.misformed(c, args, append([]string{m.archive}, args[1:]...), "", "%s is no archive, but lies in one, %s", name(args[0]),
			name(m.archive))
	}
	selectors, below, wrong, rest := a.diffSides(args, m)
	if len(selectors) == 1 && (wrong || m.selector != "") {
		selectors, wrong = append(selectors, "latest"), true
	}
	if !wrong || len(selectors) < 2 {
		return nil
	}
	if below != "" && len(rest) == 0 {
		rest = []string{asPath(below)}
	}
	right := append(append([]string{m.archive}, selectors...), rest...)
	return a.misformed(c, args, right, "", "`%s` takes the archive and two of its snapshots as arguments of their own, "+
		"or ARCHIVE@SNAPSHOT and a folder outside of the archive", c.CommandPath())
}

// diffSides returns the two snapshots that the arguments of diff mean, a path below one of them, and the arguments that
// follow. There are no selectors if one side is a folder outside of the archive. wrong says that the arguments are in
// another form.
func (a *app) diffSides(args []string, m meaning) (selectors []string, below string, wrong bool, rest []string) {
	below, rest = m.path, args[1:]
	if m.selector != "" && !(len(rest) > 1 && a.selects(m.archive, rest[0]) && a.selects(m.archive, rest[1])) {
		selectors = append(selectors, m.selector)
	}
	for len(rest) > 0 && len(selectors) < 2 {
		selector, path, plain := a.diffSide(m, rest[0])
		if selector == "" {
			return nil, "", false, nil
		}
		wrong = wrong || !plain || m.selector != ""
		if path != "" {
			below = path
		}
		selectors, rest = append(selectors, selector), rest[1:]
	}
	return selectors, below, wrong, rest
}

// diffSide returns the snapshot of the archive of m that an argument of diff means, with a path below it. plain says that
// the argument is the selector alone. The selector is "" for anything else, such as a folder outside of the archive.
func (a *app) diffSide(m meaning, arg string) (selector, path string, plain bool) {
	other, same := m.sameArchive(arg)
	switch {
	case a.selects(m.archive, arg) && (same || !isFolder(arg)):
		return arg, "", true
	case same && other.selector != "":
		return other.selector, other.path, false
	case same && other.whole() && m.selector != "":
		return "latest", "", false
	}
	return "", "", false
}

// misplacedPath adds an answer to the error of a command whose PATH is in no snapshot: it may be a snapshot, or begin with
// the archive.
func (a *app) misplacedPath(c *cobra.Command, args []string, err error) error {
	var usage *usageError
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotInSnapshot) || errors.As(err, &usage) {
		return err
	}
	words := argWords(c)
	if len(args) < 2 || len(words) < 2 || !strings.Contains(words[1], "PATH") {
		return err
	}
	m, ok := meaningOf(args[0])
	if !ok || m.path != "" {
		return err
	}
	right := a.placedPaths(m, args, strings.Contains(words[0], "@"))
	if slices.Equal(right, args) {
		return err
	}
	return &usageError{command: c.CommandPath(), err: err, hint: "a PATH begins at the top of a snapshot, and a snapshot is named after an @: " +
		a.commandLine(c, args, right)}
}

// placedPaths returns arguments in which no PATH begins with the archive. takesSnapshot says that the first one can name a
// snapshot: then one in the place of the first PATH is moved there.
func (a *app) placedPaths(m meaning, args []string, takesSnapshot bool) []string {
	right := slices.Clone(args)
	for i, arg := range args[1:] {
		if other, same := m.sameArchive(arg); same && other.selector != "" && other.path != "" {
			right[i+1] = asPath(other.path)
		}
	}
	if _, isPart := m.sameArchive(args[1]); m.whole() && takesSnapshot && !isPart && a.selects(m.archive, args[1]) {
		return append([]string{m.archive + "@" + args[1]}, right[2:]...)
	}
	return right
}
