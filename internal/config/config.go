// Package config reads a job file: a TOML file that says which folders are saved to which archives, and how.
//
//	[defaults]   the values that each job has unless it says otherwise
//	[job.NAME]   a job: its own keys, and a table for each further step, such as prune and verify
//
// The package knows no key by itself. A Schema has the keys of the job and of each table with their types and checks, so
// that the flags of commands can be the keys. Whatever is not in the schema is a fault, and all faults of a file are
// found at once, each with its line, the text around it, and the nearest right name. In a job a key takes the place of
// the default; for a key whose value is a list there is a second key with the suffix "_also", which adds to the list.
package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kind is the type of the values of a key.
type Kind int

// The kinds. Values of each are texts in a Setting, as a command line has them.
const (
	Text    Kind = iota // a string
	Value               // a string or a whole number: "50GiB", 7
	Integer             // a whole number
	Bool                // true or false
	List                // a list of strings
)

// also is the suffix of a key that adds to a list.
const also = "_also"

// Key is a key that a job may have.
type Key struct {
	Name   string
	Kind   Kind
	Path   bool                    // its values are paths: absolute, or below the home folder (~/)
	Needed bool                    // each job has it, by itself or by default
	Lone   string                  // why a list of several values is refused; a list of one is taken
	Check  func(text string) error // of one value; nil: any text that is not empty
}

// Section is the keys of a job itself, whose name is "", or of one of its tables. Instead of a table a job can have
// NAME = false, which leaves out that of the defaults.
type Section struct {
	Name string
	Keys []Key
}

func (s *Section) key(name string) *Key {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	return nil
}

// names returns the keys that the section may have in a file.
func (s *Section) names() []string {
	var list []string
	for i := range s.Keys {
		list = append(list, s.Keys[i].Name)
		if s.Keys[i].Kind == List {
			list = append(list, s.Keys[i].Name+also)
		}
	}
	return list
}

// Schema is all sections, that of the job itself first.
type Schema []Section

func (s Schema) section(name string) *Section {
	for i := range s {
		if s[i].Name == name {
			return &s[i]
		}
	}
	return nil
}

// Given is one value as the file has it.
type Given struct {
	Text      string
	Line      int
	IsDefault bool // it is from [defaults]
}

// Setting is a key with its values: one, or those of a list.
type Setting struct {
	Section, Key string
	Values       []Given
}

// Job is a job with its effective values.
type Job struct {
	Name     string
	Line     int       // of its table
	Settings []Setting // that the file has, in the order of the schema

	sections map[string]bool
}

// Has reports whether the job has a table of that name, of its own or by default.
func (j *Job) Has(section string) bool { return j.sections[section] }

// Get returns the values of a key; nil: the file has none.
func (j *Job) Get(section, key string) *Setting {
	for i := range j.Settings {
		if s := &j.Settings[i]; s.Section == section && s.Key == key {
			return s
		}
	}
	return nil
}

// Text returns the only value of a key, "" if the file has none.
func (j *Job) Text(section, key string) string {
	if s := j.Get(section, key); s != nil && len(s.Values) > 0 {
		return s.Values[0].Text
	}
	return ""
}

// File is a job file without faults.
type File struct {
	Path string
	Jobs []*Job // in the order of the file

	lines []string
}

// Job returns the job of that name.
func (f *File) Job(name string) (*Job, bool) {
	for _, j := range f.Jobs {
		if j.Name == name {
			return j, true
		}
	}
	return nil, false
}

// Names returns the names of the jobs.
func (f *File) Names() []string {
	names := make([]string, len(f.Jobs))
	for i, j := range f.Jobs {
		names[i] = j.Name
	}
	return names
}

// Problem returns a fault that a caller has found in a line of the file.
func (f *File) Problem(line int, what string) *Problem {
	return newProblem(f.Path, f.lines, place{line: line}, what)
}

// Parse reads the content of a job file. path is for messages; home is the folder that ~/ stands for, "" if there is none.
// The error is Problems; beside it, the file has the jobs that are not affected, so that a caller can look for more faults.
func Parse(path, home string, content []byte, schema Schema) (*File, error) {
	r := &reader{path: path, home: home, schema: schema, lines: strings.Split(string(content), "\n")}
	top, err := r.decode(content)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, lines: r.lines}
	defaults := r.top(top)
	before := len(r.problems)
	for _, name := range r.ordered([]string{"job"}, tableOf(top["job"])) {
		known := len(r.problems)
		if j := r.job(name, tableOf(top["job"])[name], defaults); len(r.problems) == known && before == 0 {
			f.Jobs = append(f.Jobs, j)
		}
	}
	if len(r.problems) == 0 && len(f.Jobs) == 0 {
		r.fault(nil, `there is no job: a job begins with a line like [job.home]`)
	}
	if len(r.problems) > 0 {
		r.problems.Sort()
		return f, r.problems
	}
	return f, nil
}

// reader has the state of Parse. The place of a value is known by its path: the keys that lead to it.
type reader struct {
	path, home string
	schema     Schema
	lines      []string
	ends       []int // the offsets of the ends of lines
	places     map[string]place
	problems   Problems
}

func (r *reader) fault(at []string, format string, args ...any) {
	r.problems = append(r.problems, newProblem(r.path, r.lines, r.places[joined(at)], fmt.Sprintf(format, args...)))
}

// values are those of one table of the file: by section, by key.
type values map[string]map[string][]Given

// top reads all of a file but its jobs.
func (r *reader) top(tree map[string]any) (defaults values) {
	for _, key := range r.ordered(nil, tree) {
		at := []string{key}
		table, isTable := tree[key].(map[string]any)
		switch {
		case (key == "defaults" || key == "job") && !isTable:
			r.fault(at, "%s is no table: [defaults] has the default values, [job.NAME] is a job", key)
		case key == "defaults":
			defaults = r.table(at, table)
		case key == "job":
		case isTable && slices.Contains(r.schema.tables(), key):
			r.fault(at, "[%s] belongs to a job or to the defaults: [job.NAME.%s] or [defaults.%s]", key, key, key)
		case r.schema[0].key(key) != nil:
			r.fault(at, "%s stands before the first table: it belongs to [job.NAME] or to [defaults]", key)
		default:
			r.fault(at, "unknown key %s%s", word(key), orNearest(key, []string{"defaults", "job"}, "; a file has [defaults] and [job.NAME]"))
		}
	}
	return defaults
}

// tables returns the names of the tables that a job may have.
func (s Schema) tables() (names []string) {
	for i := range s {
		if s[i].Name != "" {
			names = append(names, s[i].Name)
		}
	}
	return names
}

// jobName is a name that is a word in shells and a part of file names.
var jobName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)

// job reads a job; nil if it has none of its own values.
func (r *reader) job(name string, value any, defaults values) *Job {
	at := []string{"job", name}
	table, isTable := value.(map[string]any)
	switch {
	case !isTable && r.schema[0].key(name) != nil:
		r.fault(at, "%s stands in [job], which is no job: a job has a name, [job.NAME]", name)
		return nil
	case !isTable:
		r.fault(at, "job.%s is no table: a job begins with [job.NAME]", word(name))
		return nil
	case !jobName.MatchString(name):
		r.fault(at, "%s is no name for a job: it has letters, digits, dots, - and _, at most 64, and begins with a letter or a digit", word(name))
	}
	own := r.table(at, table)
	j := &Job{Name: name, Line: r.places[joined(at)].line, sections: make(map[string]bool)}
	for i := range r.schema {
		s := &r.schema[i]
		if _, isOff := own[s.Name][""]; isOff {
			continue
		}
		_, isDefault := defaults[s.Name]
		_, isOwn := own[s.Name]
		j.sections[s.Name] = isDefault || isOwn
		for k := range s.Keys {
			if set := effective(s.Name, &s.Keys[k], defaults[s.Name], own[s.Name]); len(set.Values) > 0 {
				j.Settings = append(j.Settings, set)
			} else if s.Keys[k].Needed && !r.has(at, table, s.Keys[k].Name) {
				r.fault(at, "the job %s has no %s", name, s.Keys[k].Name)
			}
		}
	}
	return j
}

// has reports whether a table has a key, with whatever value: a wrong one is a fault already.
func (r *reader) has(at []string, table map[string]any, key string) bool {
	_, ok := table[key]
	_, byDefault := r.places[joined([]string{"defaults", key})]
	return ok || byDefault
}

// effective returns the values of a key of a job.
func effective(section string, key *Key, defaults, own map[string][]Given) Setting {
	set := Setting{Section: section, Key: key.Name, Values: defaults[key.Name]}
	for i := range set.Values {
		set.Values[i].IsDefault = true
	}
	if list, ok := own[key.Name]; ok {
		set.Values = list
	}
	set.Values = slices.Concat(set.Values, own[key.Name+also])
	return set
}

// table reads [defaults] or a job. A section that is switched off has the key "".
func (r *reader) table(at []string, table map[string]any) values {
	out := values{"": r.section(at, table, &r.schema[0])}
	for _, key := range r.ordered(at, table) {
		s := r.schema.section(key)
		if s == nil || s.Name == "" {
			continue
		}
		below := append(slices.Clip(at), key)
		switch v := table[key].(type) {
		case map[string]any:
			out[key] = r.section(below, v, s)
		case bool:
			if v || at[0] == "defaults" {
				r.fault(below, "%s takes a table, as in %s = { %s = ... }, or in a job false", key, key, s.Keys[0].Name)
			}
			out[key] = map[string][]Given{"": nil}
		default:
			r.fault(below, "%s takes a table, as in %s = { %s = ... }, or in a job false", key, key, s.Keys[0].Name)
		}
	}
	return out
}

// section reads the keys of one section.
func (r *reader) section(at []string, table map[string]any, s *Section) map[string][]Given {
	out := make(map[string][]Given)
	for _, name := range r.ordered(at, table) {
		below := append(slices.Clip(at), name)
		if s.Name == "" && slices.Contains(r.schema.tables(), name) {
			continue
		}
		key, isMore := s.key(name), false
		if base, ends := strings.CutSuffix(name, also); key == nil && ends {
			if key = s.key(base); key != nil && key.Kind != List {
				key = nil
			}
			isMore = true
		}
		switch {
		case key == nil:
			r.unknown(below, name, s)
		case isMore && at[0] == "defaults":
			r.fault(below, "%s adds to a default, and belongs to a job; in [defaults] write %s", name, key.Name)
		default:
			if list := r.values(below, table[name], key); list != nil {
				out[name] = list
			}
		}
	}
	return out
}

// secret is the name of a key that would have a secret as its value.
var secret = regexp.MustCompile(`(?i)passw|secret|token|api_?key`)

func (r *reader) unknown(at []string, name string, s *Section) {
	for i := range r.schema {
		if other := &r.schema[i]; other != s && slices.Contains(other.names(), name) {
			where := "stands outside of the table " + s.Name + ", in the job itself or in [defaults]"
			if other.Name != "" {
				where = "belongs to the table " + other.Name + ", as in " + other.Name + " = { " + name + " = ... }"
			}
			r.fault(at, "%s %s", name, where)
			return
		}
	}
	names := s.names()
	if s.Name == "" {
		names = append(names, r.schema.tables()...)
	}
	r.fault(at, "unknown key %s%s", word(name), orNearest(strings.ReplaceAll(name, "-", "_"), names, ""))
}

// values reads the value of a key; nil after a fault.
func (r *reader) values(at []string, value any, key *Key) []Given {
	name := at[len(at)-1]
	list, ok := r.elements(at, value, key)
	if !ok {
		return nil
	}
	out := make([]Given, 0, len(list))
	for i, v := range list {
		below := at
		if element := append(slices.Clip(at), strconv.Itoa(i)); r.places[joined(element)].line > 0 {
			below = element
		}
		if text, ok := r.checked(below, name, v, key); ok {
			out = append(out, Given{Text: text, Line: r.places[joined(below)].line})
		}
	}
	if len(out) < len(list) {
		return nil
	}
	return out
}

// elements returns the single values of a key.
func (r *reader) elements(at []string, value any, key *Key) (list []any, ok bool) {
	name := at[len(at)-1]
	list, isList := value.([]any)
	switch {
	case key.Kind == List && !isList:
		r.fault(at, "%s takes a list, as in %s = [%q]", name, name, "...")
		return nil, false
	case key.Kind != List && key.Lone != "" && len(list) > 1:
		r.fault(at, "%s: %s", name, key.Lone)
		return nil, false
	case key.Kind == List, key.Lone != "" && len(list) == 1:
		return list, true
	}
	return []any{value}, true
}

// checked returns one value as a command line would have it, if the key takes it.
func (r *reader) checked(at []string, name string, value any, key *Key) (text string, ok bool) {
	text, ok = r.text(at, name, value, key)
	if ok && key.Check != nil {
		if err := key.Check(text); err != nil {
			r.fault(at, "%s: %v", name, err)
			return "", false
		}
	}
	if ok && key.Path {
		return r.absolute(at, name, text)
	}
	return text, ok
}

// text returns the text of a value of the right type.
func (r *reader) text(at []string, name string, value any, key *Key) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		text, ok = v, key.Kind == Text || key.Kind == Value || key.Kind == List
	case int64:
		text, ok = strconv.FormatInt(v, 10), key.Kind == Integer || key.Kind == Value
	case bool:
		text, ok = strconv.FormatBool(v), key.Kind == Bool
	}
	switch {
	case !ok:
		r.fault(at, "%s takes %s, and not %s", name, wants[key.Kind], typeOf(value))
	case text == "":
		r.fault(at, "%s is empty", name)
		return "", false
	}
	return text, ok
}

// absolute returns a path that does not depend on the folder in which the program is started.
func (r *reader) absolute(at []string, name, path string) (string, bool) {
	below, isHome := strings.CutPrefix(path, "~/")
	switch {
	case isHome && r.home == "":
		r.fault(at, "%s: %s: %s", name, word(path), noHome)
		return "", false
	case isHome:
		return filepath.Join(r.home, below), true
	}
	if !filepath.IsAbs(path) {
		r.fault(at, "%s: %s depends on the folder in which snapcopy is started; begin it with / or ~/", name, word(path))
		return "", false
	}
	return filepath.Clean(path), true
}

var wants = map[Kind]string{Text: "a text in quotes", Value: "a text in quotes or a whole number", Integer: "a whole number",
	Bool: "true or false", List: "a list of texts in quotes"}

// typeOf is a value's type in words.
func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "a text"
	case int64:
		return "a number"
	case float64:
		return "a number with a point"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or a time without quotes"
}

// ordered returns the keys of a table in the order of the file.
func (r *reader) ordered(at []string, table map[string]any) []string {
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		x, y := r.places[joined(append(slices.Clip(at), a))], r.places[joined(append(slices.Clip(at), b))]
		if x.offset != y.offset {
			return x.offset - y.offset
		}
		return strings.Compare(a, b)
	})
}

func tableOf(value any) map[string]any {
	table, _ := value.(map[string]any)
	return table
}
