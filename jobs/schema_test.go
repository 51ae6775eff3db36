package jobs

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestSchemaAgreesWithDecoder checks the job files of testdata: those that
// load fit the schema, and of those that do not the schema finds what it can.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	schema := readSchema(t)
	files, err := filepath.Glob("testdata/spec/ok_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d job files (%v)", len(files), err)
	}
	for _, file := range append(files, "examples/demo.yaml", "examples/segment.yaml") {
		if problems := schema.check(schema.root, readYAML(t, file), ""); len(problems) > 0 {
			t.Errorf("%s: %s", file, strings.Join(problems, "\n"))
		}
	}
	for _, name := range []string{"unknown_key", "unknown_keys", "many", "missing_all", "types", "numbers", "enum"} {
		if problems := schema.check(schema.root, readYAML(t, "testdata/spec/err_"+name+".yaml"), ""); len(problems) == 0 {
			t.Errorf("err_%s.yaml fits the schema", name)
		}
	}
}

// TestSchemaHasAllKeys: every key of the decoder is in the schema, none else.
func TestSchemaHasAllKeys(t *testing.T) {
	schema := readSchema(t)
	for name, keys := range map[string][]string{
		"Spec":         {"alerts", "catch_up", "conversation", "destination", "drain", "ledger", "name", "namespace", "rejects", "schedule", "source", "state", "timezone"},
		"PostgresSpec": {"agents", "conversations", "dsn", "lookups", "memory", "messages", "overlap", "page", "preset", "settle"},
		"LookupSpec":   {"fields", "files", "key", "name", "nested", "query", "table", "where"},
		"AgentSet":     {"fields", "files", "name", "nested", "query", "table", "where"},
		"Field":        {"column", "default", "expr", "optional", "prefix", "timezone", "unit", "value", "values"},
	} {
		definition, ok := schema.definitions[name].(map[string]any)
		if !ok {
			t.Errorf("the schema has no %s", name)
			continue
		}
		got := slices.Sorted(maps.Keys(definition["properties"].(map[string]any)))
		if !slices.Equal(got, keys) {
			t.Errorf("%s: got %v, want %v", name, got, keys)
		}
	}
}

// testSchema is as much of a JSON Schema validator as the schema needs.
type testSchema struct {
	root        map[string]any
	definitions map[string]any
}

func readSchema(t *testing.T) *testSchema {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	return &testSchema{root, root["$defs"].(map[string]any)}
}

func readYAML(t *testing.T, file string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(strings.TrimPrefix(readSpecTest(t, file), "\uFEFF")), &value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return value
}

// schemaKeywords are the keywords that check understands, or that say nothing about values.
var schemaKeywords = []string{"$schema", "$id", "$defs", "$ref", "title", "default", "description", "type", "properties", "additionalProperties", "required", "items", "anyOf", "enum", "const", "pattern"}

func (s *testSchema) check(schema map[string]any, value any, path string) []string {
	var problems []string
	fail := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	for keyword := range schema {
		if !slices.Contains(schemaKeywords, keyword) {
			fail("keyword %s is not understood", keyword)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		return append(problems, s.check(s.definitions[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), value, path)...)
	}
	if alternatives, ok := schema["anyOf"].([]any); ok && !slices.ContainsFunc(alternatives, func(a any) bool {
		return len(s.check(a.(map[string]any), value, path)) == 0
	}) {
		fail("%v fits none of %v", value, alternatives)
	}
	if want, ok := schema["type"]; ok && !ofType(value, want.(string)) {
		fail("%v is no %v", value, want)
		return problems
	}
	if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, value) {
		fail("%v is none of %v", value, words)
	}
	if word, ok := schema["const"]; ok && word != value {
		fail("%v is not %v", value, word)
	}
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value.(string)) {
		fail("%v does not match %s", value, pattern)
	}
	switch value := value.(type) {
	case map[string]any:
		problems = append(problems, s.checkKeys(schema, value, path)...)
	case []any:
		if items, ok := schema["items"].(map[string]any); ok {
			for i, element := range value {
				problems = append(problems, s.check(items, element, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	}
	return problems
}

func (s *testSchema) checkKeys(schema, value map[string]any, path string) []string {
	var problems []string
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := value[key.(string)]; !ok {
			problems = append(problems, fmt.Sprintf("%s: %v is missing", path, key))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, element := range value {
		property, ok := properties[key].(map[string]any)
		if !ok {
			if schema["additionalProperties"] == false {
				problems = append(problems, fmt.Sprintf("%s: unknown key %s", path, key))
			}
			property, _ = schema["additionalProperties"].(map[string]any)
		}
		problems = append(problems, s.check(property, element, childKey(path, key))...)
	}
	return problems
}

func ofType(value any, name string) bool {
	switch value.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case uint64, int64:
		return name == "integer" || name == "number"
	case float64:
		return name == "number"
	}
	return name == "null"
}
