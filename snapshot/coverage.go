package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/pair"
	"snapcopy/internal/tree"
)

// maxRules is the number of rules that a Coverage lists.
const maxRules = 20

// unreadable is the cause for an entry that could not be read. All other causes are rules, except "" for an entry that
// the source does not have.
const unreadable = "\x00unreadable"

// coverage measures a run against its base line, folder by folder, when all entries of a folder are decided.
type coverage struct {
	base   *index.Catalog    // nil: there is none
	same   bool              // the base line is the previous snapshot
	inside *archive.Coverage // of a new source that lies in another one
	place  *archive.Place    // of the source in the base line; nil: not known

	mu       sync.Mutex
	missing  []missing
	changed  uint64
	kept     uint64 // carried along
	unusable string // the first error of the base line's catalog
}

// open opens the catalog of the base line. If there is none, contains names another source below a new one.
func (c *coverage) open(l *archive.Lineage, p *previous) (contains string, err error) {
	if p.other {
		c.inside, contains, err = l.Around()
		return contains, err
	}
	best, ok, err := l.Baseline()
	s := best.Snapshot
	c.place = best.Place
	switch {
	case err != nil:
		return "", err
	case !ok:
		c.inside, contains, err = l.Around()
		return contains, err
	case s.Name == p.name:
		c.base, c.same = p.catalog, true
	default:
		if c.base, err = s.OpenCatalog(); err != nil {
			return "", fmt.Errorf("catalog of %s: %w", s.Name, err)
		}
	}
	return "", nil
}

func (c *coverage) close() error {
	if c.base == nil || c.same {
		return nil
	}
	return c.base.Close()
}

// readDir returns a folder's record; ok is false if the catalog cannot be read for it.
func (c *coverage) readDir(at uint64) (rec *index.Record, ok bool) {
	rec, err := c.base.ReadDir(at)
	if err != nil {
		c.mu.Lock()
		c.unusable = cmp.Or(c.unusable, err.Error())
		c.mu.Unlock()
	}
	return rec, err == nil
}

// judged is the state of a folder in the comparison with the base line.
type judged struct {
	base    index.Entry            // its entry in the base line; Type 0: none
	below   map[string]index.Entry // its folders in the base line, if that is not the previous snapshot
	causes  map[string]string      // by name
	leftOut string                 // the rule for all names
}

// missing is an entry of the base line that the run did not find at its path, or did not store.
type missing struct {
	kind   index.Type
	nlink  uint32
	stored uint64 // of a file
	child  uint64 // of a folder: its record in the base line's catalog
	cause  string
}

// below returns the base line's entry for the folder at item i of d. It is called before that item is decided.
func (c *coverage) below(d *dir, i int) index.Entry {
	switch {
	case d.judged.base.Type != index.Dir:
	case !c.same:
		return d.judged.below[d.names[i].Name]
	case d.entries[i].Type == index.Dir:
		return d.entries[i]
	}
	return index.Entry{}
}

// enter finds the base line's folders in d, if the base line is not the previous snapshot.
func (c *coverage) enter(d *dir) {
	if d.judged.base.Type != index.Dir || c.same {
		return
	}
	rec, ok := c.readDir(d.judged.base.Child)
	if !ok {
		return
	}
	d.judged.below = make(map[string]index.Entry)
	for _, e := range rec.Entries() {
		if e.Type == index.Dir {
			d.judged.below[e.Name] = *e
		}
	}
}

// lacks records why item i of d will not be in the snapshot. It is called before that item is decided.
func (c *coverage) lacks(d *dir, i int, cause string) {
	if !c.same || d.entries[i].Type != 0 {
		c.because(d, d.names[i].Name, cause)
	}
}

// because records why a name of d is not in the snapshot.
func (c *coverage) because(d *dir, name, cause string) {
	if d.judged.base.Type != index.Dir {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.judged.causes == nil {
		d.judged.causes = make(map[string]string)
	}
	d.judged.causes[name] = cause
}

// why returns the cause for which d lacks a name.
func (d *dir) why(name string) string {
	cause, known := d.judged.causes[name]
	switch {
	case known:
		return cause
	case d.judged.leftOut != "":
		return d.judged.leftOut
	case d.self.Flags&index.Unread != 0:
		return unreadable
	}
	return ""
}

// measure compares d, with all of its entries decided, with the base line.
func (c *coverage) measure(d *dir) {
	if d.judged.base.Type != index.Dir {
		return
	}
	// Without a catalog, as in a dry run, there is no hash. Being carried along is no part of it.
	if d.self.Hash == d.judged.base.Hash && !slices.ContainsFunc(d.entries, isKept) {
		return
	}
	rec, ok := c.readDir(d.judged.base.Child)
	if !ok {
		return
	}
	var list []missing
	changed, kept := uint64(0), uint64(0)
	for old, now := range pair.Lists(rec.Pull(), pair.Slice(d.entries), index.CompareNames) {
		switch {
		case old == nil:
		case now == nil:
			list = append(list, missing{old.Type, old.Nlink, old.Stored, old.Child, d.why(old.Name)})
		case (old.Type == index.Dir) != (now.Type == index.Dir):
			cause := ""
			if isKept(*now) {
				cause = unreadable
			}
			list = append(list, missing{old.Type, old.Nlink, old.Stored, old.Child, cause})
		case old.Type != index.Dir && isKept(*now):
			kept++
		case old.Type != index.Dir && !tree.SameVersion(old, now):
			changed++
		}
	}
	c.mu.Lock()
	c.missing = append(c.missing, list...)
	c.changed += changed
	c.kept += kept
	c.mu.Unlock()
}

func isKept(e index.Entry) bool { return e.Flags&index.Kept != 0 }

// sum sums up the measurements. It returns nil if the run has no base line. isElsewhere reports whether a missing file
// was found under another path.
func (c *coverage) sum(isElsewhere func(*missing) bool) *archive.Coverage {
	if c.base == nil {
		return c.inside
	}
	s := c.base.Summary()
	sum := &archive.Coverage{Snapshot: s.Snapshot, Files: s.Counts.Files, Changed: c.changed, Unread: c.kept}
	rules := make(map[string]uint64)
	for _, m := range c.missing {
		n := c.count(&m, isElsewhere)
		switch m.cause {
		case "":
			sum.Deleted += n
		case unreadable:
			sum.Unread += n
		default:
			sum.LeftOut += n
			rules[m.cause] += n
		}
	}
	for rule, n := range rules {
		if n > 0 {
			sum.Rules = append(sum.Rules, archive.RuleCount{Rule: printableRule(rule), Files: n})
		}
	}
	slices.SortFunc(sum.Rules, func(a, b archive.RuleCount) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Rule, b.Rule))
	})
	sum.Rules = sum.Rules[:min(len(sum.Rules), maxRules)]
	return sum
}

// printableRule quotes a rule that JSON cannot express.
func printableRule(rule string) string {
	if utf8.ValidString(rule) {
		return rule
	}
	return strconv.Quote(rule)
}

// count counts the files of a missing entry that were not found under another path.
func (c *coverage) count(m *missing, isElsewhere func(*missing) bool) (n uint64) {
	if m.kind != index.Dir {
		if isElsewhere(m) {
			return 0
		}
		return 1
	}
	rec, ok := c.readDir(m.child)
	if !ok {
		return 0
	}
	for _, e := range rec.Entries() {
		n += c.count(&missing{e.Type, e.Nlink, e.Stored, e.Child, m.cause}, isElsewhere)
	}
	return n
}
