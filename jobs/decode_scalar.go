package jobs

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml/ast"
)

func isScalar(node ast.Node) bool {
	_, ok := node.(ast.ScalarNode)
	return ok && node.Type() != ast.NullType
}

// text returns the text of a scalar with its variables resolved.
func (d *specDecoder) text(node ast.Node, path string, tag reflect.StructTag) (string, bool) {
	if node.Type() == ast.NullType {
		d.rejectKey(path, "give it a value, or remove the key", "%s has no value", lastKey(path))
		return "", false
	}
	if !isScalar(node) {
		d.reject(path, "write it as "+lastKey(path)+": VALUE", "%s must be a single value, found %s", lastKey(path), kindOf(node))
		return "", false
	}
	text := written(node)
	at := d.given[path]
	at.shown = quoted(text)
	resolved, ok := text, true
	if key := keyOf(tag); key != "query" && key != "expr" {
		resolved, ok = d.resolve(text, path)
	}
	if resolved != text {
		at.shown = "the value of " + quoted(text)
	}
	d.given[path] = at
	return resolved, ok
}

// written returns the text of a scalar as the file has it.
func written(node ast.Node) string {
	if literal, ok := node.(*ast.LiteralNode); ok {
		return literal.Value.Value
	}
	return node.GetToken().Value
}

// variableRef finds references; the first alternative is the escaped one, the
// last one is no reference at all.
var variableRef = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^}]*))?\}|\$\{`)

// resolve replaces ${NAME} and ${NAME:-default} in text.
func (d *specDecoder) resolve(text, path string) (string, bool) {
	var resolved strings.Builder
	good, rest := true, 0
	for _, at := range variableRef.FindAllStringSubmatchIndex(text, -1) {
		resolved.WriteString(text[rest:at[0]])
		rest = at[1]
		if text[at[0]:at[1]] == "$${" {
			resolved.WriteString("${")
			continue
		}
		name, fallback := matchGroup(text, at, 1), matchGroup(text, at, 3)
		if name == "" || strings.Contains(fallback, "${") {
			d.reject(path, `write ${NAME} or ${NAME:-default}; $${ stands for a literal ${`, "%s has a reference to a variable that cannot be read", lastKey(path))
			return "", false
		}
		value, set := d.lookupEnv(name)
		switch hasFallback := at[4] >= 0; {
		case hasFallback && value == "":
			value = fallback
		case !set:
			d.reject(path, fmt.Sprintf("set it, or give a default: ${%s:-…}", name), "environment variable %s is not set", name)
			good = false
		}
		resolved.WriteString(value)
	}
	resolved.WriteString(text[rest:])
	return resolved.String(), good
}

// matchGroup returns the text of a group of a match, empty if it took no part.
func matchGroup(text string, match []int, n int) string {
	if match[2*n] < 0 {
		return ""
	}
	return text[match[2*n]:match[2*n+1]]
}

// scalar decodes a single value. A zero tag is a word for the zero value; a
// number that has one must not be zero otherwise.
func (d *specDecoder) scalar(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) bool {
	text, ok := d.text(node, path, tag)
	if !ok {
		return false
	}
	if v.Type() == reflect.TypeFor[Secret]() || v.Type() == reflect.TypeFor[StateRef]() {
		return d.secret(node, text, v, path)
	}
	if word := tag.Get("zero"); word != "" && text == word {
		v.SetZero()
		return true
	}
	expected, example := setScalar(v, text)
	if word := tag.Get("zero"); word != "" && expected == "" && v.IsZero() {
		expected, example = "greater than 0, or "+word, word
	}
	if expected != "" {
		d.reject(path, lastKey(path)+": "+example, "%s must be %s, found %s", lastKey(path), expected, d.given[path].shown)
		return false
	}
	if words := enumOf(tag); len(words) > 0 && !slices.Contains(words, text) {
		d.reject(path, didYouMean(text, words), "%s must be %s, found %s", lastKey(path), wordList(words), d.given[path].shown)
		return false
	}
	return true
}

// secret decodes what must not be seen, from a file if the text says so.
func (d *specDecoder) secret(node ast.Node, text string, v reflect.Value, path string) bool {
	if literal := written(node); !strings.HasPrefix(literal, "${") && !strings.HasPrefix(literal, "file:") {
		d.hide(literal)
	}
	if file, ok := strings.CutPrefix(text, "file:"); ok {
		if !filepath.IsAbs(file) {
			file = filepath.Join(d.dir, file)
		}
		content, err := readSecretFile(file)
		if err != nil {
			d.reject(path, "check the path and who may read it", "%v", err)
			return false
		}
		text = content
	}
	if ref, ok := v.Addr().Interface().(*StateRef); ok {
		return d.state(ref, text, path)
	}
	if strings.TrimSpace(text) == "" {
		d.reject(path, "give it a value, from ${NAME} or file:/path", "%s is empty", lastKey(path))
		return false
	}
	v.Set(reflect.ValueOf(NewSecret(text)))
	return true
}

// setScalar sets v from text. If text is not what was expected it returns that,
// and an example of it.
func setScalar(v reflect.Value, text string) (expected, example string) {
	switch v.Interface().(type) {
	case time.Duration:
		return setParsed(v, text, parseDuration, "a duration such as 90s, 30m, 1h30m or 7d", "30m")
	case Size:
		return setParsed(v, text, parseSize, "a size such as 256MB or 1GB", "256MB")
	case Percent:
		return setParsed(v, text, parsePercent, "a percentage such as 1%, from 0% to 100%", "1%")
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return "", ""
	case reflect.Bool:
		return setParsed(v, text, parseSwitch, "on or off", "on")
	case reflect.Int:
		return setParsed(v, text, strconv.Atoi, "a whole number", "100")
	case reflect.Float64:
		return setParsed(v, text, parseNumber, "a number from 0", "500")
	}
	panic("no job file has a " + v.Type().String())
}

func setParsed[T any](v reflect.Value, text string, parse func(string) (T, error), expected, example string) (string, string) {
	value, err := parse(text)
	if err != nil {
		return expected, example
	}
	v.Set(reflect.ValueOf(value))
	return "", ""
}

var leadingDays = regexp.MustCompile(`^(\d{1,6})d(.*)$`)

// parseDuration reads a Go duration that may begin with days. It is not negative.
func parseDuration(text string) (time.Duration, error) {
	var whole time.Duration
	rest := text
	if groups := leadingDays.FindStringSubmatch(text); groups != nil {
		n, err := strconv.Atoi(groups[1])
		if err != nil || n > 100_000 {
			return 0, fmt.Errorf("parse duration %q: too long", text)
		}
		if whole, rest = time.Duration(n)*24*time.Hour, groups[2]; rest == "" {
			return whole, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	if d < 0 || rest[0] == '-' || rest[0] == '+' || whole+d < whole {
		return 0, fmt.Errorf("parse duration %q: out of range", text)
	}
	return whole + d, nil
}

func parseSize(text string) (Size, error) {
	n, err := humanize.ParseBytes(text)
	if err == nil && n > math.MaxInt64 {
		err = fmt.Errorf("parse size %q: too large", text)
	}
	return Size(n), err
}

func parsePercent(text string) (Percent, error) {
	number, ok := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err == nil && (!ok || !(f >= 0 && f <= 100)) {
		err = fmt.Errorf("parse percentage %q: out of range", text)
	}
	return Percent(f / 100), err
}

// parseSwitch reads a boolean in every spelling that YAML has had for it.
func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("parse switch %q: neither on nor off", text)
}

func parseNumber(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && !(f >= 0 && f <= math.MaxInt64) {
		err = fmt.Errorf("parse number %q: out of range", text)
	}
	return f, err
}

// enumOf returns the allowed words of a key, which its schema tag lists.
func enumOf(tag reflect.StructTag) []string {
	var words []string
	for part := range strings.SplitSeq(tag.Get("jsonschema"), ",") {
		if word, ok := strings.CutPrefix(part, "enum="); ok {
			words = append(words, word)
		}
	}
	return words
}

func wordList(words []string) string {
	if len(words) == 2 {
		return words[0] + " or " + words[1]
	}
	return "one of " + strings.Join(words, ", ")
}

// free decodes a value of any shape into what JSON has for it.
func (d *specDecoder) free(node ast.Node, v reflect.Value, path string) bool {
	switch node := node.(type) {
	case *ast.NullNode:
		return true
	case *ast.BoolNode:
		v.Set(reflect.ValueOf(node.Value))
		return true
	case *ast.IntegerNode:
		v.Set(reflect.ValueOf(node.Value))
		return true
	case *ast.FloatNode:
		v.Set(reflect.ValueOf(node.Value))
		return true
	case *ast.InfinityNode, *ast.NanNode:
		d.reject(path, "a number or a text", "%s must be a value that JSON has, found %s", lastKey(path), node.GetToken().Value)
		return false
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.freeInto(node, v, path, map[string]any{})
	case *ast.SequenceNode:
		return d.freeInto(node, v, path, []any{})
	}
	text, ok := d.text(node, path, "")
	v.Set(reflect.ValueOf(text))
	return ok
}

func (d *specDecoder) freeInto(node ast.Node, v reflect.Value, path string, empty any) bool {
	target := reflect.New(reflect.TypeOf(empty)).Elem()
	ok := d.value(node, target, path, "")
	v.Set(target)
	return ok
}
