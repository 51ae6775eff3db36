package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// naivePath is what a path leads to in a JSON text, found with encoding/json.
func naivePath(text string, steps []jsonStep) any {
	var x any
	for opened := 0; ; opened++ {
		decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
		decoder.UseNumber()
		if opened == maxJSONInJSON || !json.Valid([]byte(text)) || decoder.Decode(&x) != nil {
			return nil
		}
		inner, ok := x.(string)
		if !ok {
			break
		}
		text = inner
	}
	for i, step := range steps {
		if inner, ok := x.(string); ok {
			return naivePath(inner, steps[i:])
		}
		object, isObject := x.(map[string]any)
		list, isList := x.([]any)
		index := step.index
		if index < 0 {
			index += len(list)
		}
		switch {
		case isObject && !step.list:
			x = object[step.key]
		case isList && step.list && index >= 0 && index < len(list):
			x = list[index]
		default:
			return nil
		}
	}
	return x
}

// pathValue is what a path leads to in a text, as a mapping finds it.
func pathValue(text string, steps []jsonStep) Value {
	m := &Mapping{whole: map[int]bool{}}
	col, ok := Column{Name: "c", Type: TypeText}.at("c.x", steps)
	if !ok {
		return Value{}
	}
	slot := m.slot(col)
	m.plant()
	var s Scratch
	row := []Value{textValue(text)}
	m.open(row, &s)
	return s.raw(row, slot)
}

func shownJSON(t *testing.T, v Value) string {
	out := appendJSON(nil, v)
	if v.Type == TypeNull {
		return "null"
	}
	var x any
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&x); err != nil {
		t.Fatalf("%+v is no JSON: %v", v, err)
	}
	return shownAny(x)
}

// shownAny shows numbers by their values.
func shownAny(x any) string {
	if n, ok := x.(json.Number); ok {
		v := jsonNumber(n.String(), TypeAny)
		return string(appendJSON(nil, v))
	}
	out, _ := json.Marshal(x)
	return string(out)
}

func TestJSONPaths(t *testing.T) {
	const text = ` { "a" : [ 1 , {"b": "x\ty\u00e9\ud83d\ude00\ud83d"} , [ ] ] , "a.b": true, "q\"": 1.50, "s": "{\"t\": [null, \"[7]\"]}", "big": 123456789012345678901, "": 0, "a\u0062": "esc" } `
	for path, want := range map[string]string{
		`c.a[0]`: `1`, `c.a[1].b`: `"x\ty` + "é😀\ufffd" + `"`, `c.a[2]`: `[]`, `c.a[-1]`: `[]`, `c.a[-3]`: `1`, `c.a[-4]`: `null`, `c.a[3]`: `null`,
		`c."a.b"`: `true`, `c."q"""`: `1.5`, `c.s.t[1][0]`: `7`, `c.s.t[0].x`: `null`, `c.big`: `123456789012345678901`, `c.a.b`: `null`, `c.ab`: `"esc"`,
		`c.s`: `"{\"t\": [null, \"[7]\"]}"`, `c.nowhere.x`: `null`, `c[0]`: `null`,
	} {
		_, steps, ok := splitPath(path)
		if !ok {
			t.Fatalf("%s is no path", path)
		}
		v := pathValue(text, steps)
		if got := shownJSON(t, v); got != shownAny(json.RawMessage(want)) && got != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
}

// TestLongEscapes is quick whatever a text consists of.
func TestLongEscapes(t *testing.T) {
	text := `{"a": "` + strings.Repeat(`\n`, 1<<20) + `", "b": 7}`
	if v := pathValue(text, []jsonStep{{key: "b"}}); v.Int != 7 {
		t.Errorf("got %+v", v)
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a": [{"b": "x"}, 2]}`, "a[0].b"}, {`"{\"a\": 1}"`, "a"}, {`[[1, 2], "[3]"]`, "[1][0]"}, {`{"a": "\ud83d\ude00\"\\"}`, "a"},
		{`{"a": 1e5, "a": -0}`, "a"}, {`[`, "a"}, {`{"a" : null}`, "a.b"}, {"\"\xff\"", "a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		_, steps, ok := splitPath("c." + path)
		if !ok || len(steps) == 0 {
			return
		}
		v := pathValue(text, steps)
		if !utf8.ValidString(text) || strings.Contains(text, `\ud`) || strings.Contains(text, `\uD`) || strings.Contains(strings.ToLower(text), `\ufffd`) {
			return // encoding/json replaces what is no character
		}
		want := shownAny(naivePath(text, steps))
		if got := shownJSON(t, v); got != want && !duplicateKeys(text) {
			t.Errorf("%q at %s = %s, want %s", text, path, got, want)
		}
		list := &Mapping{whole: map[int]bool{}, list: &nesting{name: "l", slot: 0, inner: slotNone}}
		n := 0
		if err := list.unfold([]Value{textValue(text)}, &Scratch{}, func([]Value, int, *problem) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		var items []json.RawMessage
		if json.Unmarshal([]byte(text), &items) == nil && n != len(items) {
			t.Errorf("%q has %d elements, got %d", text, len(items), n)
		}
	})
}

// duplicateKeys reports whether an object may have a key twice, of which some
// readers take the first and some the last.
func duplicateKeys(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	seen := map[string]bool{}
	for {
		token, err := decoder.Token()
		if err != nil {
			return strings.Contains(text, `\"`)
		}
		key := fmt.Sprint(token)
		if _, ok := token.(string); ok && seen[key] {
			return true
		}
		seen[key] = true
	}
}
