package jobs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// The classes of settings, by what follows when one of them changes.
const (
	SettingsFree    = "free"    // nothing
	SettingsReading = "reading" // the source is read again from the start
	SettingsContent = "content" // the same
	SettingsIDs     = "ids"     // everything would be sent again
)

// settingClasses assigns keys to classes; the first pattern that a key's path
// matches decides, and what matches none is content.
var settingClasses = []struct {
	class string
	paths *regexp.Regexp
}{
	{SettingsIDs, regexp.MustCompile(`^(namespace|label)$|^source\.\w+\.messages\[.*?\]\.fields\.(conversation_id|message_id)(\.|$)`)},
	{SettingsContent, regexp.MustCompile(`^source\..*\.fields\.|^rejects\.scope$`)},
	{SettingsFree, regexp.MustCompile(`^source\.(postgres\.(settle|overlap|page|memory)|parquet\.(memory|tmp)|\w+\.preset)$`)},
	{SettingsReading, regexp.MustCompile(`^source\.|^ledger$`)},
	{SettingsFree, regexp.MustCompile(`^(name|schedule|timezone|catch_up|drain|conversation\.suppress)$|^(alerts|rejects)\.`)},
	{SettingsContent, regexp.MustCompile(`^destination\.segment\.(integrations|context)\b`)},
	{SettingsFree, regexp.MustCompile(`^destination\.`)},
}

// Settings returns the job's settings by class, each class a JSON object with
// sorted keys from path to value. Two specs have equal objects exactly if they
// do not differ in that class. Secrets and the state store are in none; paths
// are as the job file has them.
func (s *Spec) Settings() map[string]json.RawMessage {
	classes := map[string]map[string]any{SettingsFree: {}, SettingsReading: {}, SettingsContent: {}, SettingsIDs: {}}
	for path, value := range s.flat() {
		classes[settingClass(path)][path] = value
	}
	out := make(map[string]json.RawMessage, len(classes))
	for class, settings := range classes {
		encoded, err := json.Marshal(settings)
		if err != nil {
			panic(fmt.Sprintf("encode %s settings of job %s: %v", class, s.Name, err)) // they came from YAML values that JSON has
		}
		out[class] = encoded
	}
	return out
}

func settingClass(path string) string {
	for _, c := range settingClasses {
		if c.paths.MatchString(path) {
			return c.class
		}
	}
	return SettingsContent
}

// flat returns everything that is set, from path to value. The label stands
// under a path of its own, whatever destination it is of.
func (s *Spec) flat() map[string]any {
	out := make(map[string]any)
	flatten(out, "", reflect.ValueOf(*s))
	delete(out, "destination.segment.source")
	delete(out, "destination.file.source")
	out["label"] = s.Label()
	return out
}

// flatten adds what v holds to out. Keys that are not there and have no default
// are left out.
func flatten(out map[string]any, path string, v reflect.Value) {
	switch value := v.Interface().(type) {
	case Secret, StateRef:
		return
	case time.Duration:
		out[path] = value.String()
		return
	case Percent:
		out[path] = strconv.FormatFloat(float64(value)*100, 'f', -1, 64) + "%"
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			flatten(out, path, v.Elem())
		}
	case reflect.Struct:
		for _, f := range specFields(v.Type()) {
			value := v.FieldByIndex(f.index)
			if value.IsZero() && (value.Kind() == reflect.String || strings.HasSuffix(f.tag.Get("yaml"), ",omitempty")) {
				continue
			}
			flatten(out, childKey(path, f.key), value)
		}
	case reflect.Map:
		flattenMap(out, path, v)
	case reflect.Slice:
		flattenSlice(out, path, v)
	default:
		out[path] = v.Interface()
	}
}

func flattenMap(out map[string]any, path string, v reflect.Value) {
	if v.Type() == reflect.TypeFor[map[string]any]() {
		if v.Len() > 0 {
			out[path] = v.Interface()
		}
		return
	}
	for entries := v.MapRange(); entries.Next(); {
		key, value := entries.Key().String(), entries.Value()
		if strings.ContainsAny(key, `."[`) {
			key = strconv.Quote(key)
		}
		here := childKey(path, key)
		if field, ok := value.Interface().(extract.Field); ok && isShortField(field) {
			out[here] = field.Column
			continue
		}
		flatten(out, here, value)
	}
}

func isShortField(f extract.Field) bool {
	return f.Column != "" && reflect.DeepEqual(f, extract.Field{Column: f.Column})
}

// flattenSlice names sets by their names, so that a further one does not
// change the paths of the others.
func flattenSlice(out map[string]any, path string, v reflect.Value) {
	sets, ok := v.Interface().([]extract.Set)
	if !ok {
		if v.Len() > 0 {
			out[path] = v.Interface()
		}
		return
	}
	for i, set := range sets {
		name := strconv.Itoa(i)
		if set.Name != "" {
			name = strconv.Quote(set.Name)
		}
		flatten(out, path+"["+name+"]", v.Index(i))
	}
}
