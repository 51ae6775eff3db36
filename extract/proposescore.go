package extract

import (
	"slices"
	"strings"
)

// markup reports whether many of the texts are HTML.
func (p *proposer) markup() bool {
	body := p.chosen["body"]
	if body == nil {
		return false
	}
	marked := 0
	for _, v := range body.values {
		for _, tag := range [...]string{"<p>", "<p ", "<br", "<div", "</a>"} {
			if strings.Contains(v.Str, tag) {
				marked++
				break
			}
		}
	}
	return marked*10 > body.filled
}

func (p *proposer) named(names []string, fits func(*profile) bool) func(*profile) int {
	return func(c *profile) int {
		if !fits(c) {
			return 0
		}
		return named(c, names)
	}
}

func (p *proposer) roleScore(c *profile) int {
	if c.distinct > maxWords || c.texts+c.types[TypeBool] < c.filled {
		return 0
	}
	values, _ := GuessRoles(c.path, c.words())
	rows, speaks := 0, map[string]bool{}
	for word, n := range c.counts {
		if role := values[word]; role != "" {
			rows += n
			speaks[role] = true
		} else if _, ok := ParseRole(word); ok {
			rows += n
			speaks[word] = true
		}
	}
	if !speaks["customer"] || !speaks["agent"] && !speaks["bot"] {
		return min(39, named(c, roleNamed))
	}
	return 100*rows/c.filled + named(c, roleNamed)/2
}

func (p *proposer) kindScore(c *profile) int {
	name := named(c, kindNamed)
	if c.distinct > 2*maxWords || c.texts < c.filled || name == 0 {
		return 0
	}
	values, _ := GuessKinds(c.words())
	rows, messages := 0, 0
	for word, n := range c.counts {
		kind, canonical := ParseKind(word)
		if values[word] != "" || canonical {
			rows += n
		}
		if values[word] == "message" || canonical && kind == KindMessage {
			messages += n
		}
	}
	if messages == 0 {
		return 0
	}
	return 50*rows/c.filled + name
}

func (p *proposer) timeScore(names []string) func(*profile) int {
	return func(c *profile) int {
		name := named(c, names)
		for _, aside := range [][]string{sentNames, changedNames, endedNames} {
			if other := named(c, aside); other > name && name < 60 {
				return 0
			}
		}
		if c.times*100 < c.filled*95 || name == 0 && (c.types[TypeInstant]+c.types[TypeWallTime] < c.filled || !slices.Equal(names, sentNames)) {
			return 0
		}
		if name == 0 {
			name = enough // the only column of times, whatever it is called
		}
		return name
	}
}

func (p *proposer) conversationScore(c *profile) int {
	repeats := c.filled > c.distinct
	if !isID(c) || c.filled*10 < p.rows*9 || !repeats && p.rows > 1 {
		return 0
	}
	score := named(c, conversationNames)
	if score < 85 && c.distinct*10 > c.filled*9 {
		return 0 // some rows are there twice, no more
	}
	if c.distinct > 3 && c.filled*10 >= c.distinct*13 {
		score += 30 + 20*p.mixed(c)/100
	}
	return score
}

// mixed is the share, in percent, of groups of several rows in which more than
// one role speaks.
func (p *proposer) mixed(c *profile) int {
	role := p.chosen["role"]
	if role == nil {
		return 0
	}
	speak, rows := map[string]map[string]bool{}, map[string]int{}
	for i, v := range c.values {
		id, who := plainText(v), plainText(role.values[i])
		if speak[id] == nil {
			speak[id] = map[string]bool{}
		}
		speak[id][who] = true
		rows[id]++
	}
	groups, mixed := 0, 0
	for id, who := range speak {
		if rows[id] > 1 {
			groups++
			if len(who) > 1 {
				mixed++
			}
		}
	}
	return 100 * mixed / max(groups, 1)
}

func (p *proposer) uniqueScore(c *profile) int {
	if !isID(c) || c.filled*10 < p.rows*9 || c.distinct*10 < c.filled*9 {
		return 0
	}
	if name := named(c, messageNames); name > 0 {
		return name
	}
	if strings.HasSuffix(c.name, "id") && named(c, sentNames) == 0 {
		return enough + 5
	}
	return 0
}

func (p *proposer) bodyScore(c *profile) int {
	if c.texts < c.filled || c.times > c.filled/2 {
		return 0
	}
	score := named(c, bodyNames) * 2 / 3
	if c.length > 8*c.filled && c.spaced*3 > c.filled && c.distinct*5 > c.filled {
		score += 40
	}
	return score
}

// customerScore is of columns that name the same person in all rows of nearly
// every conversation.
func (p *proposer) customerScore(names []string) func(*profile) int {
	return func(c *profile) int {
		conversation := p.chosen["conversation_id"]
		if !isID(c) || conversation == nil {
			return 0
		}
		who, several := map[string]string{}, map[string]bool{}
		for i, v := range c.values {
			id, person := plainText(conversation.values[i]), plainText(v)
			if person == "" {
				continue
			}
			if known, ok := who[id]; ok && known != person {
				several[id] = true
			}
			who[id] = person
		}
		if len(several)*20 > len(who) {
			return 0
		}
		return named(c, names)
	}
}
