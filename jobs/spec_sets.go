package jobs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

func (c *specCheck) source() {
	const path = "source"
	c.notBoth(path, "postgres", "parquet")
	source := &c.spec.Source
	switch {
	case !c.has(path):
		c.missing(path, "source: {postgres: …} or source: {parquet: …}")
	case source.Postgres == nil && source.Parquet == nil && c.good(path):
		c.rejectKey(path, "give it the key postgres or parquet", "source has neither postgres nor parquet")
	}
	if c.good(path + ".postgres") {
		c.postgres(path+".postgres", source.Postgres)
	}
	if c.good(path + ".parquet") {
		c.parquet(path+".parquet", source.Parquet)
	}
}

func (c *specCheck) postgres(path string, p *PostgresSpec) {
	c.require(path+".dsn", p.DSN.Reveal(), "dsn: ${CHAT_DATABASE_URL}")
	if c.good(path+".page") && (p.Page < 1 || p.Page > 100_000) {
		c.reject(path+".page", "page: 2000", "page must be from 1 to 100000")
	}
	c.sets(path, &p.SetsSpec, c.postgresSet)
}

func (c *specCheck) parquet(path string, p *ParquetSpec) {
	if c.good(path+".memory") && p.Memory < 1_000_000 {
		c.reject(path+".memory", "memory: 256MB", "memory must be 1MB at least")
	}
	c.notEmpty(path+".tmp", p.Tmp)
	c.sets(path, &p.SetsSpec, c.parquetSet)
}

// sets checks the sets of a source. Every one is given to place, which checks
// where its rows come from.
func (c *specCheck) sets(path string, s *SetsSpec, place func(string, extract.Set)) {
	preset := path + ".preset"
	switch messages := path + ".messages"; {
	case !c.has(messages) && !c.has(preset):
		c.missing(messages, "say which table, query or files hold the messages")
	case len(s.Messages) == 0 && c.good(messages):
		c.reject(messages, "say which table, query or files hold the messages", "messages is empty")
	}
	for i, set := range s.Messages {
		here := fmt.Sprintf("%s.messages[%d]", path, i)
		if !c.has(here) {
			here = path + ".messages"
		}
		if set.Name != "" && slices.ContainsFunc(s.Messages[:i], func(o extract.Set) bool { return o.Name == set.Name }) {
			c.reject(here+".name", "give each set a name of its own", "two sets of messages are named %s", c.given[here+".name"].shown)
		}
		c.set(here, set, extract.MessageFields, place)
		c.conversationID(here, set)
	}
	if s.Conversations != nil {
		c.set(path+".conversations", *s.Conversations, extract.ConversationFields, place)
		c.conversationID(path+".conversations", *s.Conversations)
	}
	if s.Agents != nil {
		c.set(path+".agents", *s.Agents, extract.AgentFields, place)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Lookups)) {
		here := path + ".lookups." + name
		c.set(here, s.Lookups[name].Set, nil, place)
		if c.good(here) {
			c.require(here+".key", s.Lookups[name].Key, "key: id")
		}
	}
}

func (c *specCheck) postgresSet(path string, set extract.Set) {
	c.notBoth(path, "table", "query")
	if c.has(path + ".files") {
		c.rejectKey(path+".files", "table: NAME, or query: SELECT …", "files are for source.parquet%s", inKey(path))
	} else if !c.has(path+".table") && !c.has(path+".query") {
		c.missing(path+".table", "table: NAME, or query: SELECT …")
	}
	c.notEmpty(path+".table", set.Table)
	c.notEmpty(path+".query", set.Query)
}

func (c *specCheck) parquetSet(path string, set extract.Set) {
	wrong := false
	for _, key := range []string{"table", "query"} {
		if c.has(path + "." + key) {
			c.rejectKey(path+"."+key, "files: [PATH or s3://…]", "%s is for source.postgres%s", key, inKey(path))
			wrong = true
		}
	}
	if !c.has(path+".files") && !wrong {
		c.missing(path+".files", "files: [PATH or s3://…]")
	}
	if c.good(path+".files") && (len(set.Files) == 0 || slices.Contains(set.Files, "")) {
		c.reject(path+".files", "files: [PATH or s3://…]", "files is empty")
	}
}

// set checks a set whose fields are named by names, or have any name if there are none.
func (c *specCheck) set(path string, set extract.Set, names []string, place func(string, extract.Set)) {
	if !c.good(path) {
		return
	}
	place(path, set)
	c.notEmpty(path+".name", set.Name)
	c.notEmpty(path+".where", set.Where)
	c.expression(path+".where", set.Where)
	c.notEmpty(path+".nested", set.Nested)
	for _, name := range slices.Sorted(maps.Keys(set.Fields)) {
		here := path + ".fields." + name
		if names != nil && !slices.Contains(names, name) {
			c.rejectKey(here, didYouMean(name, names), "unknown key %s in %s.fields", quoted(name), path)
			continue
		}
		c.field(here, set.Fields[name])
		c.fieldOf(here, name, set.Fields[name])
	}
}

// field checks a field of whatever name.
func (c *specCheck) field(path string, f extract.Field) {
	c.notBoth(path, "column", "value")
	c.notBoth(path, "column", "expr")
	c.notBoth(path, "value", "expr")
	for _, key := range []string{"values", "default", "unit", "timezone", "prefix", "optional"} {
		c.notBoth(path, "value", key)
	}
	if short := c.given[path].shown != ""; short {
		c.notEmpty(path, f.Column)
	}
	c.notEmpty(path+".column", f.Column)
	c.notEmpty(path+".expr", f.Expr)
	c.expression(path+".expr", f.Expr)
	c.zone(path+".timezone", f.Timezone)
	if units := []string{"s", "ms", "us", "ns"}; c.good(path+".unit") && !slices.Contains(units, f.Unit) {
		c.reject(path+".unit", didYouMean(f.Unit, units), "unit must be %s, found %s", wordList(units), c.given[path+".unit"].shown)
	}
}

// expression checks what can be known of an expression before the source is
// opened.
func (c *specCheck) expression(path, text string) {
	source := c.spec.Source
	if !c.good(path) || strings.TrimSpace(text) == "" || source.Postgres == nil && source.Parquet == nil {
		return
	}
	var mistake *extract.MappingError
	if err := extract.CheckExpression(text, slices.Sorted(maps.Keys(c.spec.Sets().Lookups))); errors.As(err, &mistake) {
		c.reject(path, mistake.Try, "%s: %s", lastKey(path), mistake.Problem)
	}
}

// fieldOf checks what only a field of that name must or can have.
func (c *specCheck) fieldOf(path, name string, f extract.Field) {
	if !strings.HasSuffix(name, "_at") {
		for _, key := range []string{"unit", "timezone"} {
			if c.has(path + "." + key) {
				c.rejectKey(path+"."+key, "remove it", "%s is for times, %s is none", key, name)
			}
		}
	}
	switch name {
	case "role":
		c.words(path, f, extract.RoleNames())
	case "kind":
		c.words(path, f, extract.KindNames())
	}
}

// words checks that all that role or kind can become by its mapping is one of words.
func (c *specCheck) words(path string, f extract.Field, words []string) {
	check := func(path, word string) {
		if c.good(path) && !slices.Contains(words, word) {
			c.reject(path, didYouMean(word, words), "%s is no %s; there are %s", c.given[path].shown, wordOf(path), strings.Join(words, ", "))
		}
	}
	for value, word := range f.Values {
		check(path+".values."+value, word)
	}
	if f.Default != nil {
		check(path+".default", *f.Default)
	}
	if f.Value != nil {
		check(path+".value", *f.Value)
	}
}

// wordOf returns "role" or "kind" from a path below such a field.
func wordOf(path string) string {
	if strings.Contains(path, ".fields.role.") {
		return "role"
	}
	return "kind"
}

// conversationID refuses all but a column: conversations are paged and
// partitioned by it.
func (c *specCheck) conversationID(path string, set extract.Set) {
	path += ".fields.conversation_id"
	if _, ok := set.Fields["conversation_id"]; !ok {
		return
	}
	for _, key := range []string{"value", "values", "default", "expr"} {
		if c.has(path + "." + key) {
			c.rejectKey(path+"."+key, "conversation_id: COLUMN; a prefix is allowed, and in Postgres a query can make the column", "conversation_id must be a column, %s is not possible", key)
		}
	}
}
