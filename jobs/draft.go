package jobs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Draft is a job file in the making: the source, and the mapping that is
// proposed for it.
type Draft struct {
	Name          string
	Postgres      bool // else Parquet files
	Messages      DraftSet
	Conversations *DraftSet // nil: none
	Agents        *DraftSet
}

// DraftSet is a set and what is proposed for it.
type DraftSet struct {
	extract.Set // without fields
	Proposal    *extract.Proposal
	Values      []extract.FieldValues // of role and kind
}

// Mapped is the set with the fields that are proposed.
func (s *DraftSet) Mapped() extract.Set {
	set := s.Set
	set.Fields = s.Proposal.Set()
	return set
}

// SetValues keeps how often each value of role and kind comes, and guesses what
// those mean that the proposal has not seen.
func (s *DraftSet) SetValues(all []extract.FieldValues) {
	s.Values = all
	for _, f := range all {
		field := s.Proposal.Field(f.Field)
		if field == nil || field.Field.Expr != "" {
			continue
		}
		var words []string
		for _, v := range f.Values {
			if f.Field != "kind" || v.Value != "null" { // a row that says nothing of its kind is a message
				words = append(words, v.Value)
			}
		}
		if f.Field == "role" {
			field.Field.Values, field.Unknown = extract.GuessRoles(field.Field.Column, words)
		} else {
			field.Field.Values, field.Unknown = extract.GuessKinds(words)
		}
	}
}

// Undecided says what a person has to decide before the job can run well.
func (d *Draft) Undecided() (all []string) {
	p := d.Messages.Proposal
	for _, field := range p.Missing {
		all = append(all, "which column is "+field)
	}
	for _, f := range p.Fields {
		if len(f.Unknown) > 0 {
			all = append(all, fmt.Sprintf("the %s of %s", f.Name, someOf(f.Unknown)))
		}
	}
	if !d.identified() {
		all = append(all, "who the customer is: map user_id or anonymous_id, or identity: anonymous")
	}
	return all
}

// someOf lists the first of many values.
func someOf(values []string) string {
	const most = 10
	text := strings.Join(values[:min(len(values), most)], ", ")
	if len(values) > most {
		text += fmt.Sprintf(" and %d more", len(values)-most)
	}
	return text
}

// identified reports whether something says who the customer is.
func (d *Draft) identified() bool {
	for _, s := range []*DraftSet{&d.Messages, d.Conversations} {
		if s != nil && (s.Proposal.Field("user_id") != nil || s.Proposal.Field("anonymous_id") != nil) {
			return true
		}
	}
	return false
}

// YAML is the job file, with comments for who is to look at it.
func (d *Draft) YAML() string {
	w := &draftWriter{}
	w.line(0, "# Made by chatbackfill init, which looked at names and values of %s.", oneLine(d.Messages.place()))
	w.line(0, "# It is a proposal: look it through, then chatbackfill check, and chatbackfill preview.")
	if len(d.Undecided()) > 0 {
		w.line(0, "# What nobody can guess is marked with %q.", decideMark)
	}
	w.line(0, "\nname: %s\n\nsource:", scalar(d.Name))
	if d.Postgres {
		w.line(1, "postgres:")
		w.line(2, "dsn: ${CHAT_DATABASE_URL}")
	} else {
		w.line(1, "parquet:")
	}
	w.set("messages", &d.Messages)
	if d.Postgres && d.Messages.Proposal.Field("changed_at") == nil {
		if sent := d.Messages.Proposal.Field("sent_at"); sent != nil {
			w.line(4, "# If rows are written when they are sent, later runs need only look at what is new:")
			w.line(4, "# changed_at: %s", scalar(sent.Field.Column))
		}
	}
	w.set("conversations", d.Conversations)
	w.set("agents", d.Agents)
	w.line(0, "\nconversation:")
	w.line(1, "message_body: include                     # include, redact or omit")
	if d.Messages.Proposal.HTML {
		w.line(1, "body_format: html")
	}
	if !d.identified() {
		w.line(1, "# %s nothing says who the customer is. If that is all right:", decideMark)
		w.line(1, "# identity: anonymous")
	}
	w.destination(d.Name)
	return w.String()
}

// PresetJob is a job file that uses a preset, with comments.
func PresetJob(p Preset, name string) string {
	w := &draftWriter{}
	w.line(0, "# Made by chatbackfill init for %s.", oneLine(p.Of))
	w.line(0, "# What the preset does: chatbackfill presets show %s", p.Name)
	for _, caveat := range p.Caveats {
		w.line(0, "# - %s", oneLine(caveat))
	}
	w.line(0, "\nname: %s\n", scalar(name))
	w.WriteString(p.JobSource())
	w.line(0, "\nconversation:")
	w.line(1, "message_body: include                     # include, redact or omit")
	w.destination(name)
	return w.String()
}

// decideMark is what stands before everything that is left to decide.
const decideMark = "decide:"

func (s *DraftSet) place() string {
	if s.Table != "" {
		return s.Table
	}
	return strings.Join(s.Files, ", ")
}

// draftWriter writes the lines of a job file.
type draftWriter struct{ strings.Builder }

func (w *draftWriter) line(depth int, format string, args ...any) {
	fmt.Fprintf(w, "%s%s\n", strings.Repeat("  ", depth), fmt.Sprintf(format, args...))
}

// destination writes a file as the destination.
func (w *draftWriter) destination(name string) {
	w.line(0, "\n# A file, to look at the events first. Then:")
	w.line(0, "# destination:")
	w.line(0, "#   segment: {source: NAME-OF-YOURS, write_key: ${SEGMENT_WRITE_KEY}, region: us}")
	w.line(0, "destination:")
	w.line(1, "file:")
	w.line(2, "path: %s", scalar(name+".ndjson"))
}

func (w *draftWriter) set(key string, s *DraftSet) {
	if s == nil {
		return
	}
	w.line(2, "%s:", key)
	if s.Table != "" {
		w.line(3, "table: %s", scalar(s.Table))
	} else {
		files := make([]string, len(s.Files))
		for i, file := range s.Files {
			files[i] = quotedScalar(file)
		}
		w.line(3, "files: [%s]", strings.Join(files, ", "))
	}
	if s.Nested != "" {
		w.line(3, "nested: %s", scalar(s.Nested))
	}
	w.line(3, "fields:")
	for i := range s.Proposal.Fields {
		w.field(&s.Proposal.Fields[i], s.counts(s.Proposal.Fields[i].Name))
	}
	for _, field := range s.Proposal.Missing {
		w.line(4, "# %s no column looks like it", decideMark)
		w.line(4, "# %s: COLUMN", field)
	}
}

// counts are the values of a field with their rows, if they were counted.
func (s *DraftSet) counts(field string) []extract.ValueCount {
	for _, f := range s.Values {
		if f.Field == field {
			return f.Values
		}
	}
	return nil
}

func (w *draftWriter) field(f *extract.ProposedField, counts []extract.ValueCount) {
	if len(f.Others) > 0 {
		w.line(4, "# %s", strings.TrimSpace(oneLine(f.Why+" (or: "+strings.Join(f.Others, ", ")+")")))
	} else if f.Why != "" {
		w.line(4, "# %s", oneLine(f.Why))
	}
	switch {
	case len(f.Field.Values) == 0 && len(f.Unknown) == 0:
		w.line(4, "%s: %s", f.Name, source(f))
		return
	case f.Field.Expr != "":
		w.line(4, "%s:\n          expr: %s", f.Name, quotedScalar(f.Field.Expr))
	default:
		w.line(4, "%s:\n          column: %s", f.Name, scalar(f.Field.Column))
	}
	if len(f.Field.Values) == 0 {
		w.line(5, "# values:")
	} else {
		w.line(5, "values:")
	}
	rows := make(map[string]int64)
	var words []string
	for _, v := range counts {
		rows[v.Value] = v.Rows
		words = append(words, v.Value)
	}
	for value := range f.Field.Values {
		if _, counted := rows[value]; !counted {
			words = append(words, value)
		}
	}
	for _, value := range words {
		if meaning := f.Field.Values[value]; meaning != "" {
			w.line(6, "%s: %s%s", quotedScalar(value), meaning, rowsComment(rows[value]))
		}
	}
	for _, value := range f.Unknown {
		w.line(6, "# %s %s: %s%s", decideMark, quotedScalar(value), strings.Join(wordsOf(f.Name), "|"), rowsComment(rows[value]))
	}
}

func wordsOf(field string) []string {
	if field == "role" {
		return extract.RoleNames()
	}
	return extract.KindNames()
}

func rowsComment(rows int64) string {
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("   # %s rows", humanize.Comma(rows))
}

// source is where a field comes from, as short as a job file can say it.
func source(f *extract.ProposedField) string {
	switch {
	case f.Field.Expr != "":
		return "{expr: " + quotedScalar(f.Field.Expr) + "}"
	case f.Field.Unit != "":
		return fmt.Sprintf("{column: %s, unit: %s}", quotedScalar(f.Field.Column), f.Field.Unit)
	}
	return scalar(f.Field.Column)
}

// plainScalar is text that YAML takes for nothing else.
var plainScalar = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

// scalar spells a text as YAML, in quotes if need be.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return strconv.Quote(s)
	}
	if plainScalar.MatchString(s) {
		return s
	}
	return quotedScalar(s)
}

// quotedScalar spells a text in quotes, as JSON does, which YAML understands.
func quotedScalar(s string) string {
	if plainScalar.MatchString(s) && scalar(s) == s {
		return s
	}
	quoted, _ := json.Marshal(strings.ReplaceAll(s, "${", "$${"))
	return string(quoted)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
