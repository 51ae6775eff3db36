package examples

import (
	"embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// What people say, one file a language. {name} and the like are slots, filled
// with the same value throughout a chat; {photo} at the end of a line of the
// customer stands for an attachment that follows it.
//
//go:embed texts/*.yaml
var textFiles embed.FS

type texts struct {
	Customers []string
	Products  []string
	Amounts   []string
	Days      []string
	Cities    []string
	Lines     lines
	Topics    []topic
}

// lines are what is said whatever a chat is about.
type lines struct {
	Hello           []string
	BotHello        []string `yaml:"bot_hello"`
	BotHandoff      []string `yaml:"bot_handoff"`
	BotAway         []string `yaml:"bot_away"`
	BotSolvedThanks []string `yaml:"bot_solved_thanks"`
	BotBye          []string `yaml:"bot_bye"`
	Greet           []string
	SorryForWait    []string `yaml:"sorry_for_wait"`
	Look            []string
	OK              []string
	Nudge           []string
	NudgeBye        []string `yaml:"nudge_bye"`
	Impatient       []string
	Transfer        []string
	Takeover        []string
	More            []string
	Thanks          []string
	Bye             []string
	CloseWithWords  []string `yaml:"close_with_words"`
	Reopen          []string
	Again           []string
	AgainFixed      []string `yaml:"again_fixed"`
	Relief          []string
	Outbound        []string
	OutboundReply   []string `yaml:"outbound_reply"`
	OutboundDone    []string `yaml:"outbound_done"`
	Colleague       []string
	ColleagueReply  []string `yaml:"colleague_reply"`
	Attachment      []string
	Card            []string
	CardReply       []string `yaml:"card_reply"`
	Voice           []string
}

// topic is a problem that customers write about.
type topic struct {
	Name    string
	Open    []string   // the customer's problem
	Detail  []string   // what the customer may add
	Ask     []question // the agent's questions; the last one is always asked
	Fix     []string
	Confirm []string
	Extra   []struct { // what the customer may want to know besides
		Customer string
		Agent    []string
	}
	Note []string // between agents
	Bot  string   // how a bot solves it, if one can
	Log  string   // what a customer says who pastes a log, if that is likely
}

type question struct {
	Agent    string
	Customer []string
}

// languages are the languages of chats, with how many of a hundred customers
// speak each.
var languages = []struct {
	code  string
	share int
}{{"en", 60}, {"de", 13}, {"es", 9}, {"fr", 7}, {"ja", 5}, {"ar", 3}, {"he", 3}}

// textsOf returns what is said in a language. The files are part of the
// program, so one that cannot be read is a mistake in it.
func textsOf(language string) *texts { return allTexts()[language] }

var allTexts = sync.OnceValue(func() map[string]*texts {
	all := make(map[string]*texts)
	for _, l := range languages {
		name := "texts/" + l.code + ".yaml"
		data, err := textFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		t := new(texts)
		if err := yaml.UnmarshalWithOptions(data, t, yaml.Strict()); err != nil {
			panic(fmt.Sprintf("read %s: %v", name, err))
		}
		all[l.code] = t
	}
	return all
})

// fill replaces the slots of a line.
func fill(line string, slots map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(line, '{')
		j := strings.IndexByte(line, '}')
		if i < 0 || j < i {
			break
		}
		value, ok := slots[line[i+1:j]]
		if !ok {
			panic("unknown slot " + line[i:j+1])
		}
		b.WriteString(line[:i])
		b.WriteString(value)
		line = line[j+1:]
	}
	b.WriteString(line)
	return b.String()
}

// pick returns one of a list.
func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }
