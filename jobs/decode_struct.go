package jobs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/chatbackfill/chatbackfill/extract"
)

// specDecoder writes a YAML mapping over a Spec. It never stops at a mistake.
type specDecoder struct {
	specMistakes
	dir       string
	lookupEnv func(string) (string, bool)
	given     map[string]specPlace // what the file has, by path
	others    []*specDecoder       // of the presets that the file names
}

func newSpecDecoder(file, dir string, lookupEnv func(string) (string, bool)) *specDecoder {
	return &specDecoder{specMistakes: specMistakes{file: file}, dir: dir, lookupEnv: lookupEnv, given: map[string]specPlace{}}
}

// specPlace is where a key of the file and its value stand.
type specPlace struct {
	keyLine, keyColumn int
	line, column       int
	shown              string        // the value as messages show it
	bad                bool          // a mistake was reported; there is no value
	in                 *specMistakes // of the file that it is in; nil: the decoder's own
}

// decodeSpec writes the file over spec and checks the result. The error is
// [SpecErrors].
func decodeSpec(spec *Spec, data []byte, lookupEnv func(string) (string, bool)) error {
	d := newSpecDecoder(spec.File, spec.Dir, lookupEnv)
	if d.decode(spec, data) {
		if p := spec.Source.Postgres; p != nil {
			d.usePreset(spec, "postgres", &p.SetsSpec)
		}
		if p := spec.Source.Parquet; p != nil {
			d.usePreset(spec, "parquet", &p.SetsSpec)
		}
		(&specCheck{specDecoder: d, spec: spec}).all()
	}
	return d.err()
}

// decode writes the file over the struct that v points to. It reports whether
// the file is YAML that can be.
func (d *specDecoder) decode(v any, data []byte) bool {
	root := parseYAML(data, &d.specMistakes)
	if root == nil {
		return false
	}
	d.given[""] = specPlace{keyLine: 1, keyColumn: 1, line: 1, column: 1}
	d.structure(root, reflect.ValueOf(v).Elem(), "")
	return true
}

// err returns all mistakes, file by file, or nil.
func (d *specDecoder) err() error {
	all := d.sorted()
	for _, other := range d.others {
		all = append(all, other.sorted()...)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// reject adds a mistake about the value at path, or about the nearest thing
// around it that the file has.
func (d *specDecoder) reject(path, try, format string, args ...any) {
	at := d.nearestPlace(path)
	d.mistakes(at).add(at.line, at.column, try, format, args...)
}

// rejectKey is reject for a mistake about the key.
func (d *specDecoder) rejectKey(path, try, format string, args ...any) {
	at := d.nearestPlace(path)
	d.mistakes(at).add(at.keyLine, at.keyColumn, try, format, args...)
}

// mistakes are those of the file that a place is in.
func (d *specDecoder) mistakes(at specPlace) *specMistakes {
	if at.in != nil {
		return at.in
	}
	return &d.specMistakes
}

func (d *specDecoder) nearestPlace(path string) specPlace {
	for {
		if at, ok := d.given[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// value decodes node into v. It reports whether it could.
func (d *specDecoder) value(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) bool {
	switch v.Interface().(type) {
	case Secret, StateRef, time.Duration, Size, Percent:
		return d.scalar(node, v, path, tag)
	}
	switch v.Kind() {
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		if defaulted, ok := target.Interface().(interface{ setDefaults() }); ok {
			defaulted.setDefaults()
		}
		v.Set(target)
		return d.value(node, target.Elem(), path, tag)
	case reflect.Struct:
		if field, ok := v.Addr().Interface().(*extract.Field); ok && isScalar(node) {
			return d.scalar(node, reflect.ValueOf(&field.Column).Elem(), path, tag)
		}
		return d.structure(node, v, path)
	case reflect.Map:
		return d.mapping(node, v, path)
	case reflect.Slice:
		return d.list(node, v, path, tag)
	case reflect.Interface:
		return d.free(node, v, path)
	}
	return d.scalar(node, v, path, tag)
}

func (d *specDecoder) structure(node ast.Node, v reflect.Value, path string) bool {
	fields := specFields(v.Type())
	return d.entries(node, path, func(key, path string, value ast.Node) bool {
		i := slices.IndexFunc(fields, func(f specField) bool { return f.key == key })
		if i < 0 {
			d.unknown(key, path, value, fields)
			return false
		}
		return d.value(value, v.FieldByIndex(fields[i].index), path, fields[i].tag)
	})
}

func (d *specDecoder) unknown(key, path string, value ast.Node, fields []specField) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
		if f.secret && nearest(key, []string{f.key}) != "" && isScalar(value) {
			d.hide(written(value))
		}
	}
	d.rejectKey(path, didYouMean(key, names), "unknown key %s%s", quoted(key), inKey(parentKey(path, key)))
}

func (d *specDecoder) mapping(node ast.Node, v reflect.Value, path string) bool {
	v.Set(reflect.MakeMap(v.Type()))
	return d.entries(node, path, func(key, path string, value ast.Node) bool {
		element := reflect.New(v.Type().Elem()).Elem()
		ok := d.value(value, element, path, "")
		v.SetMapIndex(reflect.ValueOf(key), element)
		return ok
	})
}

// entries calls each for the entries of a mapping whose keys are good.
// A mapping without anything in it may be left empty.
func (d *specDecoder) entries(node ast.Node, path string, each func(key, path string, value ast.Node) bool) bool {
	if node.Type() == ast.NullType {
		return true
	}
	m := mappingOf(node)
	if m == nil {
		d.reject(path, "keys with a value each, in lines of their own further in", "%s must be a mapping of keys, found %s", lastKey(path), kindOf(node))
		return false
	}
	lines := make(map[string]int)
	for _, entry := range m.Values {
		key, at := keyText(entry.Key), entry.Key.GetToken().Position
		if first, twice := lines[key]; twice {
			d.add(at.Line, at.Column, "remove one of them", "key %s is given twice%s, first in line %d", quoted(key), inKey(path), first)
			continue
		}
		lines[key] = at.Line
		here, value := childKey(path, key), at
		if isScalar(entry.Value) || isFlow(entry.Value) {
			value = entry.Value.GetToken().Position
		}
		d.given[here] = specPlace{keyLine: at.Line, keyColumn: at.Column, line: value.Line, column: value.Column}
		if !each(key, here, entry.Value) {
			d.markBad(here)
		}
	}
	return true
}

// keyText returns a key as text; however null is written, it is null.
func keyText(key ast.MapKeyNode) string {
	if _, null := key.(*ast.NullNode); null {
		return "null"
	}
	return key.GetToken().Value
}

// isFlow reports whether node is written with brackets or braces. Where other
// lists and mappings begin is not where a person looks for them.
func isFlow(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.IsFlowStyle
	case *ast.SequenceNode:
		return node.IsFlowStyle
	}
	return false
}

func (d *specDecoder) markBad(path string) {
	at := d.given[path]
	at.bad = true
	d.given[path] = at
}

// list decodes a list, or a single element that stands without one.
func (d *specDecoder) list(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) bool {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return d.value(node, v.Index(0), path, tag)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values)))
	good := true
	for i, element := range sequence.Values {
		here, at := fmt.Sprintf("%s[%d]", path, i), element.GetToken().Position
		if mapping := mappingOf(element); mapping != nil && !isFlow(element) && len(mapping.Values) > 0 {
			at = mapping.Values[0].Key.GetToken().Position
		}
		d.given[here] = specPlace{keyLine: at.Line, keyColumn: at.Column, line: at.Line, column: at.Column}
		if !d.value(element, v.Index(i), here, tag) {
			d.markBad(here)
			good = false
		}
	}
	return good
}

// specField is a key of a struct of the job file.
type specField struct {
	key    string
	index  []int
	tag    reflect.StructTag
	secret bool
}

// specFields are the keys of a struct, those of inlined structs included.
func specFields(t reflect.Type) []specField {
	var fields []specField
	for _, f := range reflect.VisibleFields(t) {
		if key := keyOf(f.Tag); key != "" && key != "-" {
			fields = append(fields, specField{key, f.Index, f.Tag, f.Type == reflect.TypeFor[Secret]()})
		}
	}
	return fields
}

func keyOf(tag reflect.StructTag) string {
	key, _, _ := strings.Cut(tag.Get("yaml"), ",")
	return key
}

// childKey is the path of a key, parentKey the path around it, lastKey its last part.
func childKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func parentKey(path, key string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path, key), ".")
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func inKey(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}
