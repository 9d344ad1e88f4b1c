package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// printJSON writes one object on a line of its own, to stdout. docs/json.md describes the objects of each type.
func (a *app) printJSON(lineType string, object any) error {
	line, err := jsonLine(lineType, object)
	if err != nil {
		return err
	}
	_, err = a.term.Write(line)
	return err
}

// tellJSON writes one object on a line of stderr: a failure, or a message while stdout has other output.
func (a *app) tellJSON(lineType string, object any) error {
	line, err := jsonLine(lineType, object)
	if err != nil {
		return err
	}
	a.term.errorf("%s", bytes.TrimSuffix(line, []byte("\n")))
	return nil
}

// jsonLine writes a struct as JSON on one line, with its type in front. JSON cannot express a string that is not
// UTF-8: beside such a field there is another one, with _base64 after its name and the bytes in base64.
func jsonLine(lineType string, object any) ([]byte, error) {
	fields, err := marshal(object)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(fields, []byte(`\ufffd`)) { // bytes that are not UTF-8 look like this, and little else does
		if fields, err = lossless(reflect.ValueOf(object)); err != nil {
			return nil, err
		}
	}
	line := fmt.Appendf(nil, `{"type":%q`, lineType)
	if fields = bytes.TrimPrefix(fields, []byte("{")); !bytes.Equal(fields, []byte("}")) {
		line = append(line, ',')
	}
	return append(append(line, fields...), '\n'), nil
}

// marshal is json.Marshal without the escapes that only a web page needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// lossless writes a value with the _base64 fields.
func lossless(v reflect.Value) ([]byte, error) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return []byte("null"), nil
		}
		v = v.Elem()
	}
	_, special := v.Interface().(json.Marshaler) // it looks after its strings itself
	switch {
	case v.Kind() == reflect.Struct && !special:
		fields, err := losslessFields(nil, v)
		return append(append([]byte("{"), bytes.Join(fields, []byte(","))...), '}'), err
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 && !v.IsNil():
		var list [][]byte
		for i := range v.Len() {
			element, err := lossless(v.Index(i))
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		return append(append([]byte("["), bytes.Join(list, []byte(","))...), ']'), nil
	}
	return marshal(v.Interface())
}

// losslessFields adds the fields of a struct, including those of embedded structs.
func losslessFields(fields [][]byte, v reflect.Value) (_ [][]byte, err error) {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		label, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && label == "":
			if embedded := reflect.Indirect(field); embedded.IsValid() {
				fields, err = losslessFields(fields, embedded)
			}
		case f.IsExported() && label != "-" && !(strings.HasPrefix(options, "omit") && isEmpty(field)):
			fields, err = losslessField(fields, label, field)
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// losslessField adds one field, and its _base64 field if needed.
func losslessField(fields [][]byte, label string, v reflect.Value) ([][]byte, error) {
	value, err := lossless(v)
	if err != nil {
		return nil, err
	}
	fields = append(fields, fmt.Appendf(nil, "%q:%s", label, value))
	raw := bytesOf(v)
	if raw == nil {
		return fields, nil
	}
	if value, err = marshal(raw); err != nil {
		return nil, err
	}
	return append(fields, fmt.Appendf(nil, "%q:%s", label+"_base64", value)), nil
}

// isEmpty reports whether omitempty or omitzero leaves out a field.
func isEmpty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// bytesOf returns the bytes of a string that JSON cannot express, or of all strings of a list if it cannot express one
// of them; nil for any other value.
func bytesOf(v reflect.Value) any {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.String && !utf8.ValidString(v.String()):
		return []byte(v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		odd := false
		list := make([][]byte, v.Len())
		for i := range v.Len() {
			list[i] = []byte(v.Index(i).String())
			odd = odd || !utf8.Valid(list[i])
		}
		if odd {
			return list
		}
	}
	return nil
}
