package jobs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/invopop/jsonschema"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Schema returns the JSON Schema of job files, for editors. It knows keys,
// types and allowed words; what contradicts what, only [LoadSpec] does.
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{
		Anonymous:                  true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Mapper:                     scalarSchema,
	}
	schema := reflector.Reflect(&Spec{})
	schema.Title = "chatbackfill job file"
	nameFields(schema.Definitions)
	for _, definition := range schema.Definitions {
		allowShortForms(definition)
	}
	nameDefaults(schema.Definitions, reflect.ValueOf(defaultSpec()))
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode JSON Schema of job files: %w", err)
	}
	return append(data, '\n'), nil
}

// variablePattern is a text in which a variable stands for a value.
const variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`

// scalarSchema describes the types that are written as a text.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	pattern := func(p string) *jsonschema.Schema {
		return orVariable(&jsonschema.Schema{Type: "string", Pattern: p})
	}
	switch t {
	case reflect.TypeFor[Secret](), reflect.TypeFor[StateRef]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[time.Duration]():
		return pattern(`^(0|all|([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*)$`)
	case reflect.TypeFor[Size]():
		return pattern(`^[0-9.]+ *([kKMGT]i?)?B?$`)
	case reflect.TypeFor[Percent]():
		return pattern(`^[0-9.]+ *%$`)
	}
	return nil
}

// orVariable allows a variable in the place of a value.
func orVariable(value *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{value, {Type: "string", Pattern: variablePattern}}}
}

// allowShortForms rewrites the properties of a definition so that they accept
// all that the decoder does: variables, one element without a list around it,
// a field that is a column's name only, and nothing in the place of a mapping.
func allowShortForms(definition *jsonschema.Schema) {
	for pair := definition.Properties.Oldest(); pair != nil; pair = pair.Next() {
		p := pair.Value
		switch {
		case p.Ref != "":
			pair.Value = described(p, p, &jsonschema.Schema{Type: "null"})
		case p.Type == "array" && p.Items != nil:
			pair.Value = described(p, p, p.Items)
		case p.Type == "object" && p.AdditionalProperties != nil && p.AdditionalProperties.Ref == fieldRef:
			p.AdditionalProperties = shortField()
		case p.Type == "boolean":
			pair.Value = described(p, orVariable(p), &jsonschema.Schema{Enum: []any{"on", "off", "yes", "no"}})
		case p.Type == "integer" || len(p.Enum) > 0:
			pair.Value = described(p, orVariable(p))
		case p.Type == "number":
			pair.Value = described(p, orVariable(p), &jsonschema.Schema{Const: "unlimited"})
		}
	}
}

var fieldRef = "#/$defs/" + reflect.TypeFor[extract.Field]().Name()

func shortField() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Ref: fieldRef}}}
}

// nameFields gives each kind of set a definition of its own, which knows the
// fields that the set can have.
func nameFields(definitions jsonschema.Definitions) {
	base := definitions[reflect.TypeFor[extract.Set]().Name()]
	for kind, fields := range map[string][]string{
		"MessageSet": extract.MessageFields, "ConversationSet": extract.ConversationFields, "AgentSet": extract.AgentFields,
	} {
		named := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
		for _, field := range fields {
			named.Properties.Set(field, shortField())
		}
		set := *base
		set.Properties = jsonschema.NewProperties()
		for pair := base.Properties.Oldest(); pair != nil; pair = pair.Next() {
			set.Properties.Set(pair.Key, pair.Value)
		}
		set.Properties.Set("fields", named)
		definitions[kind] = &set
	}
	for source, spec := range map[string]reflect.Type{"postgres": reflect.TypeFor[PostgresSpec](), "parquet": reflect.TypeFor[ParquetSpec]()} {
		properties := definitions[spec.Name()].Properties
		properties.Set("preset", described(properties.Value("preset"), presetsOf(source), &jsonschema.Schema{Type: "string", Pattern: `\.ya?ml$|\$\{`}))
		properties.Value("messages").Items.Ref = "#/$defs/MessageSet"
		properties.Value("conversations").Ref = "#/$defs/ConversationSet"
		properties.Value("agents").Ref = "#/$defs/AgentSet"
	}
	delete(definitions, reflect.TypeFor[extract.Set]().Name())
}

// presetsOf allows the presets for a source.
func presetsOf(source string) *jsonschema.Schema {
	names := &jsonschema.Schema{Type: "string"}
	for _, preset := range Presets() {
		if preset.Source == source {
			names.Enum = append(names.Enum, preset.Name)
		}
	}
	return names
}

// described returns a schema that accepts any of alternatives and is described
// as p was.
func described(p *jsonschema.Schema, alternatives ...*jsonschema.Schema) *jsonschema.Schema {
	description := p.Description
	p.Description = ""
	return &jsonschema.Schema{Description: description, AnyOf: alternatives}
}

// defaultSpec is a job file in which nothing is said, with either kind of
// source and of destination.
func defaultSpec() Spec {
	spec := Spec{
		Source:      SourceSpec{Postgres: &PostgresSpec{}, Parquet: &ParquetSpec{}},
		Destination: DestinationSpec{Segment: &SegmentSpec{}, File: &FileSpec{}},
	}
	spec.setDefaults()
	spec.Source.Postgres.setDefaults()
	spec.Source.Parquet.setDefaults()
	spec.Destination.Segment.setDefaults()
	spec.Destination.File.setDefaults()
	return spec
}

// nameDefaults gives the keys in the definition of v's type the defaults that v
// has, and those of the definitions below it.
func nameDefaults(definitions jsonschema.Definitions, v reflect.Value) {
	definition := definitions[v.Type().Name()]
	for _, field := range specFields(v.Type()) {
		value := v.FieldByIndex(field.index)
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		if value.Kind() == reflect.Struct && definitions[value.Type().Name()] != nil {
			nameDefaults(definitions, value)
		} else if d := defaultOf(value, field.tag.Get("zero")); d != nil {
			definition.Properties.Value(field.key).Default = d
		}
	}
}

// defaultOf is a default as a job file would spell it; nil: there is none.
func defaultOf(v reflect.Value, zero string) any {
	switch {
	case !v.IsValid() || v.IsZero() && zero == "" && v.Kind() != reflect.Bool:
		return nil
	case v.IsZero() && zero != "":
		return zero
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		text := value.String()
		for _, nothing := range []string{"0s", "0m"} {
			if before, _ := strings.CutSuffix(text, nothing); strings.TrimRight(before, "hm") != before {
				text = before
			}
		}
		return text
	case Percent:
		return fmt.Sprintf("%g%%", 100*float64(value))
	case Size:
		return strings.ReplaceAll(humanize.Bytes(uint64(value)), " ", "")
	default:
		return value
	}
}
