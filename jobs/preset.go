package jobs

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Preset is a mapping for a known system that ships with the program.
type Preset struct {
	Name    string   `json:"name"`    // NAME@VERSION
	Source  string   `json:"source"`  // postgres or parquet
	Of      string   `json:"of"`      // the system and how it got there
	Caveats []string `json:"caveats"` // a sentence each
	Text    string   `json:"-"`       // the file, commented

	sets SetsSpec
}

// presetFile is the file of a preset: the sets of a source, and what they are of.
type presetFile struct {
	SetsSpec   `yaml:",inline"`     // its key preset is the preset's own name
	Source     string               `yaml:"source" jsonschema:"enum=postgres,enum=parquet"`
	Of         string               `yaml:"of"`
	Caveats    []string             `yaml:"caveats"`
	BodyFormat transform.BodyFormat `yaml:"body_format" jsonschema:"enum=text,enum=html"`
}

// Presets are all presets, sorted by name.
func Presets() []Preset {
	names := extract.PresetNames()
	all := make([]Preset, len(names))
	for i, name := range names {
		text, _ := extract.PresetText(name)
		var file presetFile
		d := newSpecDecoder("preset "+name, "", func(string) (string, bool) { return "", false })
		d.preset(&file, []byte(text))
		if err := d.err(); err != nil {
			panic(err) // it ships with the program
		}
		all[i] = Preset{name, file.Source, file.Of, file.Caveats, text, file.SetsSpec}
	}
	return all
}

// FindPreset returns the preset of a name, the newest one if the name has no
// version.
func FindPreset(name string) (Preset, error) {
	var names []string
	var found Preset
	for _, p := range Presets() {
		short, _, _ := strings.Cut(p.Name, "@")
		if name == p.Name || name == short && len(p.Name) >= len(found.Name) { // version 10 is after 9
			found = p
		}
		names = append(names, short)
	}
	if found.Name == "" {
		return Preset{}, &Error{Exit: ExitUsage, Err: fmt.Errorf("there is no preset %s", quoted(name)), Try: didYouMean(name, slices.Compact(names))}
	}
	return found, nil
}

// JobSource is the source of a job file that uses the preset, as YAML. What a
// person has to fill in is the variable CHAT_DATABASE_URL, or the paths of files,
// which are those that the preset itself would read beside the job file.
func (p Preset) JobSource() string {
	var b strings.Builder
	if p.Source == "postgres" {
		fmt.Fprintf(&b, "source:\n  postgres:\n    dsn: ${CHAT_DATABASE_URL}\n    preset: %s\n", p.Name)
		return b.String()
	}
	fmt.Fprintf(&b, "source:\n  parquet:\n    preset: %s\n", p.Name)
	b.WriteString("    messages:\n")
	for _, set := range p.sets.Messages {
		fmt.Fprintf(&b, "      - name: %s\n        files: [%s]\n", set.Name, filesText(set))
	}
	for _, set := range []struct {
		key string
		*extract.Set
	}{{"conversations", p.sets.Conversations}, {"agents", p.sets.Agents}} {
		if set.Set != nil {
			fmt.Fprintf(&b, "    %s:\n      files: [%s]\n", set.key, filesText(*set.Set))
		}
	}
	if len(p.sets.Lookups) > 0 {
		b.WriteString("    lookups:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(p.sets.Lookups)) {
		fmt.Fprintf(&b, "      %s:\n        files: [%s]\n", name, filesText(p.sets.Lookups[name].Set))
	}
	return b.String()
}

func filesText(set extract.Set) string {
	texts := make([]string, len(set.Files))
	for i, file := range set.Files {
		texts[i] = fmt.Sprintf("%q", file)
	}
	return strings.Join(texts, ", ")
}

// preset decodes the file of a preset. It reports whether there is one to use.
func (d *specDecoder) preset(file *presetFile, data []byte) bool {
	if !d.decode(file, data) {
		return false
	}
	_, given := d.given["messages"]
	if !given {
		d.add(1, 1, "say how the rows of messages are to be read", "missing key %q", "messages")
	}
	return given
}

var presetName = regexp.MustCompile(`^[a-z0-9_-]+@[0-9]+$`)

// usePreset lays the sets of a source over those of the preset that it names.
// If that cannot be done the source is marked as bad.
func (d *specDecoder) usePreset(spec *Spec, source string, sets *SetsSpec) {
	path := "source." + source
	at, given := d.given[path+".preset"]
	if !given || at.bad || d.given[path].bad {
		return
	}
	name, text, ok := d.findPreset(sets.Preset, path+".preset")
	if !ok {
		d.markBad(path)
		return
	}
	var file presetFile
	p := newSpecDecoder(name, d.dir, d.lookupEnv)
	d.others = append(d.others, p)
	switch {
	case !p.preset(&file, text):
	case file.Source != "" && file.Source != source:
		d.reject(path+".preset", "use it in source."+file.Source, "preset %s is for source.%s", at.shown, file.Source)
	default:
		d.layOver(p, path, sets, &file.SetsSpec)
		if _, given := d.given["conversation.body_format"]; !given && file.BodyFormat != "" {
			spec.Conversation.BodyFormat = file.BodyFormat
		}
		return
	}
	d.markBad(path)
}

// findPreset returns the text of a preset, and what messages call it.
func (d *specDecoder) findPreset(name, path string) (called string, text []byte, ok bool) {
	shown := d.given[path].shown
	switch {
	case strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"):
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(d.dir, file)
		}
		data, err := readSpecFile(file)
		if err != nil {
			d.reject(path, "check the path: it is relative to the job file", "preset %s cannot be read: %v", shown, reasonOf(err))
		}
		return name, data, err == nil
	case !presetName.MatchString(name):
		d.reject(path, didYouMean(name, extract.PresetNames()), "preset %s is neither NAME@VERSION nor the path of a .yaml file", shown)
		return "", nil, false
	}
	shipped, ok := extract.PresetText(name)
	if !ok {
		d.reject(path, didYouMean(name, extract.PresetNames()), "there is no preset %s", shown)
	}
	return "preset " + name, []byte(shipped), ok
}
