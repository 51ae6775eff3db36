package jobs

import (
	"fmt"
	"maps"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// layOver lays the sets that the job file has at path over those of a preset,
// key by key and field by field. What it names as a whole replaces what the
// preset has: a field with all of its options, the place of the rows whether it
// is a table, a query or files. Every value keeps its place in the file that it
// came from.
func (d *specDecoder) layOver(p *specDecoder, path string, own, preset *SetsSpec) {
	own.Messages = d.layMessages(p, path+".messages", own.Messages, preset.Messages)
	own.Conversations = d.laySet(p, path, "conversations", own.Conversations, preset.Conversations)
	own.Agents = d.laySet(p, path, "agents", own.Agents, preset.Agents)
	for name, base := range preset.Lookups {
		here := "lookups." + name
		places := p.take(here)
		if lookup, ok := own.Lookups[name]; ok {
			over := d.take(path + "." + here)
			lay(&base.Set, places, lookup.Set, over)
			if _, given := over[".key"]; given {
				base.Key = lookup.Key
			}
			maps.Copy(places, over)
		}
		d.put(path+"."+here, places)
		if own.Lookups == nil {
			own.Lookups = map[string]LookupSpec{}
		}
		own.Lookups[name] = base
	}
}

// laySet is layOver of a set that there is one of.
func (d *specDecoder) laySet(p *specDecoder, path, key string, own, preset *extract.Set) *extract.Set {
	if preset == nil {
		return own
	}
	places, here := p.take(key), path+"."+key
	if own != nil {
		over := d.take(here)
		lay(preset, places, *own, over)
		maps.Copy(places, over)
	}
	d.put(here, places)
	return preset
}

// layMessages is layOver of the sets of messages, which are told apart by name.
func (d *specDecoder) layMessages(p *specDecoder, path string, own, preset []extract.Set) []extract.Set {
	taken := make([]places, len(own))
	for i := range own {
		taken[i] = d.takeElement(path, i)
	}
	merged := make([]places, len(preset))
	for i := range preset {
		merged[i] = p.takeElement("messages", i)
	}
	seen := make([]bool, len(preset))
	for i, set := range own {
		switch to := d.presetSet(set, taken[i], preset); {
		case to < 0:
		case seen[to]:
			d.add(taken[i][""].line, taken[i][""].column, "keep one of them", "this set of messages is given twice")
		default:
			seen[to] = true
			lay(&preset[to], merged[to], set, taken[i])
			maps.Copy(merged[to], taken[i])
		}
	}
	if list, given := p.given["messages"]; given && len(own) == 0 {
		d.given[path] = list
	}
	for i := range merged {
		d.put(fmt.Sprintf("%s[%d]", path, i), merged[i])
	}
	return preset
}

// presetSet returns which of the preset's sets a set of the job is about; -1:
// none, which is reported.
func (d *specDecoder) presetSet(set extract.Set, at places, preset []extract.Set) int {
	if set.Name == "" && len(preset) == 1 {
		return 0
	}
	names := make([]string, len(preset))
	for i := range preset {
		if names[i] = preset[i].Name; names[i] == set.Name {
			return i
		}
	}
	if set.Name == "" {
		d.add(at[""].line, at[""].column, "name: "+strings.Join(names, ", or name: "), "name says which of the preset's sets of messages this is")
	} else {
		d.add(at[".name"].line, at[".name"].column, didYouMean(set.Name, names), "the preset has no set of messages named %s", at[".name"].shown)
	}
	return -1
}

// lay lays a set over a base, and forgets the places of what it replaces.
func lay(base *extract.Set, from places, set extract.Set, over places) {
	has := func(key string) bool { _, ok := over[key]; return ok }
	if has(".table") || has(".query") || has(".files") {
		base.Table, base.Query, base.Files = set.Table, set.Query, set.Files
		from.drop(".table", ".query", ".files")
	}
	if has(".name") {
		base.Name = set.Name
	}
	if has(".where") {
		base.Where = set.Where
	}
	if has(".nested") {
		base.Nested = set.Nested
	}
	if base.Fields == nil {
		base.Fields = map[string]extract.Field{}
	}
	for name, field := range set.Fields {
		base.Fields[name] = field
		from.drop(".fields." + name)
	}
}

// places are those of a value and of all that lies in it, by what follows the
// value's own path.
type places map[string]specPlace

// drop forgets values with all that lies in them.
func (p places) drop(keys ...string) {
	for _, key := range keys {
		maps.DeleteFunc(p, func(at string, _ specPlace) bool {
			rest, ok := strings.CutPrefix(at, key)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
	}
}

// take takes the places of a value out of those of the file. They remember the
// file that they are in.
func (d *specDecoder) take(path string) places {
	taken := places{}
	for key, at := range d.given {
		rest, ok := strings.CutPrefix(key, path)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		if at.in == nil {
			at.in = &d.specMistakes
		}
		taken[rest] = at
		delete(d.given, key)
	}
	return taken
}

// takeElement is take of an element of a list, which may stand without one.
func (d *specDecoder) takeElement(path string, i int) places {
	if here := fmt.Sprintf("%s[%d]", path, i); i > 0 || d.given[here] != (specPlace{}) {
		return d.take(here)
	}
	return d.take(path)
}

func (d *specDecoder) put(path string, p places) {
	for rest, at := range p {
		d.given[path+rest] = at
	}
}
