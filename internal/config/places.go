package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// place is a piece of a file. Lines and columns count from 1; a column is in bytes.
type place struct{ offset, line, column, width int }

// joined makes a key of a path in the tree of a file.
func joined(path []string) string { return strings.Join(path, "\x00") }

// maxDepth is a number of nested lists and tables that no job file needs: the places of deeper ones are not known.
const maxDepth = 16

// decode reads TOML, and the place of each key and of each element of a list.
func (r *reader) decode(content []byte) (map[string]any, error) {
	if !utf8.Valid(content) {
		return nil, Problems{newProblem(r.path, nil, place{}, "it is not UTF-8 text")}
	}
	tree := make(map[string]any)
	if err := toml.Unmarshal(content, &tree); err != nil {
		at := place{}
		var where *toml.DecodeError
		if errors.As(err, &where) {
			at.line, at.column = where.Position()
			at.width = 1
		}
		return nil, Problems{newProblem(r.path, r.lines, at, "this is not TOML: "+strings.TrimPrefix(err.Error(), "toml: "))}
	}
	r.places = make(map[string]place)
	for i := range content {
		if content[i] == '\n' {
			r.ends = append(r.ends, i)
		}
	}
	var p unstable.Parser
	p.Reset(content)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = r.locate(e, nil, 0)
		case unstable.KeyValue:
			r.locate(e, table, 0)
		}
	}
	return tree, p.Error()
}

// locate notes the places of the keys of a table's header or of a key with its value, and returns the path.
func (r *reader) locate(e *unstable.Node, above []string, depth int) []string {
	path := above[:len(above):len(above)]
	for keys := e.Key(); keys.Next(); {
		path = append(path[:len(path):len(path)], string(keys.Node().Data))
		if len(path) > maxDepth {
			return path
		}
		r.note(path, keys.Node())
	}
	if e.Kind == unstable.KeyValue {
		r.inside(e.Value(), path, depth+1)
	}
	return path
}

// inside notes the places of the elements of a value.
func (r *reader) inside(value *unstable.Node, path []string, depth int) {
	if depth > maxDepth {
		return
	}
	i := 0
	for children := value.Children(); children.Next(); i++ {
		switch child := children.Node(); {
		case value.Kind == unstable.InlineTable:
			r.locate(child, path, depth)
		case value.Kind == unstable.Array && child.Raw.Length > 0:
			r.note(append(path[:len(path):len(path)], strconv.Itoa(i)), child)
		}
	}
}

// note keeps the first place of a path.
func (r *reader) note(path []string, n *unstable.Node) {
	if _, ok := r.places[joined(path)]; ok || n.Raw.Length == 0 {
		return
	}
	offset := int(n.Raw.Offset)
	line, _ := slices.BinarySearch(r.ends, offset) // the number of lines that end before
	begin := 0
	if line > 0 {
		begin = r.ends[line-1] + 1
	}
	r.places[joined(path)] = place{offset, line + 1, offset - begin + 1, int(n.Raw.Length)}
}
