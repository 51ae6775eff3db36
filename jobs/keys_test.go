package jobs

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

var updateKeys = flag.Bool("update-keys", false, "write the table of keys in docs/jobs.md anew")

const (
	keysFile  = "../docs/jobs.md"
	keysBegin = "| key | default | meaning |\n|---|---|---|\n"
)

// TestDocumentedKeys: the table of keys in the documentation is that of the
// JSON Schema.
func TestDocumentedKeys(t *testing.T) {
	data, err := os.ReadFile(keysFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), keysBegin)
	_, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("no table of keys in %s", keysFile)
	}
	want := before + keysBegin + strings.Join(keyTable(t), "\n") + "\n\n" + after
	switch {
	case want == string(data):
	case *updateKeys:
		if err := os.WriteFile(keysFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of keys in %s is not that of the schema; go test ./jobs -run %s -update-keys writes it", keysFile, t.Name())
	}
}

// keyTable lists the keys of a job file, a row each. A key that both kinds of
// source have stands once.
func keyTable(t *testing.T) []string {
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	all := keyRows(schema.Definitions, schema.Ref, "")
	var rows []string
	for _, row := range all {
		postgres := strings.Replace(row, "source.parquet.", "source.postgres.", 1)
		parquet := strings.Replace(row, "source.postgres.", "source.parquet.", 1)
		if postgres != parquet && slices.Contains(all, postgres) && slices.Contains(all, parquet) {
			row = strings.Replace(postgres, "source.postgres.", "source.….", 1)
		}
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// keyRows lists the keys of a definition and of those that it refers to. Sets
// are one key.
func keyRows(definitions jsonschema.Definitions, ref, path string) []string {
	definition := definitions[strings.TrimPrefix(ref, "#/$defs/")]
	var rows []string
	for pair := definition.Properties.Oldest(); pair != nil; pair = pair.Next() {
		key, p := childKey(path, pair.Key), pair.Value
		for _, alternative := range p.AnyOf {
			if p.Description == "" && alternative.Ref != "" {
				rows = append(rows, keyRows(definitions, alternative.Ref, key)...)
				p = nil
				break
			}
		}
		if p != nil {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", key, keyDefault(p, slices.Contains(definition.Required, pair.Key)), keyMeaning(p)))
		}
	}
	return rows
}

func keyDefault(p *jsonschema.Schema, required bool) string {
	switch {
	case required:
		return "required"
	case p.Default != nil:
		return fmt.Sprintf("`%v`", p.Default)
	}
	return ""
}

// keyMeaning is what a key's description says, after the words it may have.
func keyMeaning(p *jsonschema.Schema) string {
	words := strings.Join(keyWords(p), ", ")
	if words != "" && p.Description != "" {
		words += ". "
	}
	return words + p.Description + "."
}

// keyWords are the words that a key may have. What stands for true and false
// does not count.
func keyWords(p *jsonschema.Schema) []string {
	var words []string
	for _, word := range p.Enum {
		if word != "on" && word != "off" && word != "yes" && word != "no" {
			words = append(words, fmt.Sprintf("`%v`", word))
		}
	}
	for _, alternative := range p.AnyOf {
		words = append(words, keyWords(alternative)...)
	}
	return words
}
