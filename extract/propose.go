package extract

import (
	"cmp"
	"slices"
	"strings"
)

// Proposal is a mapping of a set that was guessed from the names of its columns
// and from what stands in them. A person is to look at it.
type Proposal struct {
	Fields  []ProposedField // in the order of the set's fields
	Missing []string        // required fields for which there is no column
	HTML    bool            // texts look like HTML
}

// ProposedField is a field and the column that was found for it.
type ProposedField struct {
	Name    string
	Field   Field
	Why     string   // for a person
	Unknown []string // values of role and kind of which nobody can guess the meaning
	Others  []string // columns that it could be as well
}

// Field returns what is proposed for a field; nil if nothing is.
func (p *Proposal) Field(name string) *ProposedField {
	for i := range p.Fields {
		if p.Fields[i].Name == name {
			return &p.Fields[i]
		}
	}
	return nil
}

// Set returns the fields as a set has them.
func (p *Proposal) Set() map[string]Field {
	fields := make(map[string]Field, len(p.Fields))
	for _, f := range p.Fields {
		fields[f.Name] = f.Field
	}
	return fields
}

// ProposeMessages guesses how the columns of a table map to messages.
func ProposeMessages(t *Table) *Proposal {
	p := newProposer(t)
	p.choose("role", p.roleScore, "few values, that look like roles")
	p.choose("sent_at", p.timeScore(sentNames), "times, at which rows were written")
	p.choose("conversation_id", p.conversationScore, "repeats for the rows of one conversation")
	p.choose("message_id", p.uniqueScore, "another one in every row")
	p.choose("body", p.bodyScore, "texts")
	p.choose("kind", p.kindScore, "few values, that look like kinds of row")
	p.choose("changed_at", p.timeScore(changedNames), "when the row was written here")
	p.choose("sequence", p.named(sequenceNames, isNumber), "orders rows of the same time")
	p.choose("deleted", p.named(deletedNames, isFlag), "")
	p.choose("author_id", p.named(authorNames, isID), "")
	p.choose("author_name", p.named(authorNameNames, isText), "")
	p.choose("author_username", p.named(usernameNames, isText), "")
	p.choose("agent_id", p.named(assignedNames, isID), "")
	p.choose("agent_name", p.named(assignedNameNames, isText), "")
	p.choose("user_id", p.customerScore(customerNames), "the customer")
	p.choose("anonymous_id", p.customerScore(visitorNames), "a visitor")
	p.private()
	if author := p.out.Field("author_id"); author != nil && p.out.Field("user_id") == nil && p.out.Field("anonymous_id") == nil {
		p.out.Fields = append(p.out.Fields, ProposedField{Name: "user_id", Field: Field{Column: author.Field.Column},
			Why: "counts on rows of customers only, so that the author's id may do"})
	}
	return p.result(messageFields)
}

// ProposeConversations guesses how the columns of a table with a row for each
// conversation map. Like is how messages name their conversation; may be empty.
func ProposeConversations(t *Table, like string) *Proposal {
	p := newProposer(t)
	p.choose("conversation_id", func(c *profile) int {
		if c.name == snake(like) && like != "" && isID(c) {
			return 200
		}
		return max(p.uniqueScore(c), named(c, conversationNames))
	}, "one row for each conversation")
	p.choose("ended_at", p.timeScore(endedNames), "")
	p.choose("changed_at", p.timeScore(changedNames), "when the row was written here")
	p.choose("ended_by", p.named(endedByNames, isID), "")
	p.choose("user_id", p.named(slices.Concat(customerNames, roleWords["customer"]), isID), "the customer")
	p.choose("anonymous_id", p.named(visitorNames, isID), "a visitor")
	p.choose("assignee_id", p.named(slices.Concat(assignedNames, agentNames, roleWords["agent"]), isID), "an agent")
	p.choose("assignee_name", p.named(assignedNameNames, isText), "")
	return p.result(conversationFields)
}

// ProposeAgents guesses how the columns of a directory of agents map.
func ProposeAgents(t *Table) *Proposal {
	p := newProposer(t)
	p.choose("id", p.uniqueScore, "one row for each agent")
	p.choose("name", p.named(personNames, isText), "")
	p.choose("username", p.named(usernameNames, isText), "")
	return p.result(agentFields)
}

// proposer chooses columns for fields, one after the other.
type proposer struct {
	columns []*profile
	rows    int
	used    map[*profile]bool
	chosen  map[string]*profile
	out     Proposal
}

func newProposer(t *Table) *proposer {
	p := &proposer{used: map[*profile]bool{}, chosen: map[string]*profile{}}
	for i := range t.Columns {
		c := profileOf(&t.Columns[i])
		p.columns = append(p.columns, c)
		p.rows = max(p.rows, len(c.values))
	}
	return p
}

// enough is the score from which on a column is proposed.
const enough = 40

// choose takes the column with the best score.
func (p *proposer) choose(field string, score func(*profile) int, why string) {
	type candidate struct {
		*profile
		score int
	}
	var found []candidate
	for _, c := range p.columns {
		if p.used[c] || c.filled == 0 {
			continue
		}
		if s := score(c); s >= enough {
			found = append(found, candidate{c, s})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	if len(found) == 0 {
		return
	}
	best := found[0]
	p.used[best.profile], p.chosen[field] = true, best.profile
	f := ProposedField{Name: field, Field: Field{Column: best.path}, Why: why}
	for _, other := range found[1:min(len(found), 4)] {
		if 2*other.score >= best.score {
			f.Others = append(f.Others, other.path)
		}
	}
	switch {
	case strings.HasSuffix(field, "_at"):
		f.Field.Unit = best.unit
		if best.types[TypeWallTime] > 0 {
			f.Why += "; without a zone, it is taken for UTC unless timezone says otherwise"
		}
	case field == "role":
		f.Field.Values, f.Unknown = GuessRoles(best.path, best.words())
	case field == "kind":
		f.Field.Values, f.Unknown = GuessKinds(best.words())
	}
	p.out.Fields = append(p.out.Fields, f)
}

// private makes notes of rows that a column marks as private.
func (p *proposer) private() {
	var column *profile
	for _, c := range p.columns {
		if !p.used[c] && c.types[TypeBool] == c.filled && c.filled > 0 && named(c, privateNames) > 0 {
			column = c
		}
	}
	if column == nil {
		return
	}
	p.used[column] = true
	const why = "rows that are marked as private are notes"
	if kind := p.out.Field("kind"); kind != nil {
		kind.Field = Field{Expr: column.path + ` == true ? "note" : ` + kind.Field.Column, Values: kind.Field.Values}
		kind.Why += "; " + why
		return
	}
	p.out.Fields = append(p.out.Fields, ProposedField{Name: "kind", Field: Field{Expr: column.path + ` == true ? "note" : "message"`}, Why: why})
}

// result puts the fields into their order and lists what is missing.
func (p *proposer) result(specs []fieldSpec) *Proposal {
	out := Proposal{HTML: p.markup()}
	for _, spec := range specs {
		if f := p.out.Field(spec.name); f != nil {
			out.Fields = append(out.Fields, *f)
		} else if spec.required {
			out.Missing = append(out.Missing, spec.name)
		}
	}
	return &out
}

// Decide says what a value of role or kind means.
func (f *ProposedField) Decide(value, meaning string) {
	if f.Field.Values == nil {
		f.Field.Values = map[string]string{}
	}
	f.Field.Values[value] = meaning
	f.Unknown = slices.DeleteFunc(f.Unknown, func(unknown string) bool { return unknown == value })
}

// Add proposes a column for a field that has none.
func (p *Proposal) Add(field, column, why string) {
	f := ProposedField{Name: field, Field: Field{Column: column}, Why: why}
	p.Fields = append(p.Fields, f)
	p.Missing = slices.DeleteFunc(p.Missing, func(missing string) bool { return missing == field })
}
