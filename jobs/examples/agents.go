package examples

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// agent is somebody of the support team, as the directory has them.
type agent struct {
	ID       string `parquet:"name=id, type=BYTE_ARRAY, convertedtype=UTF8"`
	FullName string `parquet:"name=full_name, type=BYTE_ARRAY, convertedtype=UTF8"`
	Login    string `parquet:"name=login, type=BYTE_ARRAY, convertedtype=UTF8"`

	from, to  int // the shift's hours, UTC
	weekends  bool
	languages []string
}

var agents = []agent{
	{"301", "Amara Diallo", "amara", 6, 14, true, []string{"en", "fr"}},
	{"302", "Jonas Weber", "jweber", 7, 15, false, []string{"de", "en"}},
	{"303", "Lucía Ferrer", "lucia", 12, 20, true, []string{"es", "en"}},
	{"304", "Yuki Tanabe", "ytanabe", 0, 8, false, []string{"ja", "en"}},
	{"305", "Noa Peretz", "noa", 6, 14, true, []string{"he", "en"}},
	{"306", "Omar Haddad", "omar", 7, 15, true, []string{"ar", "en"}},
	{"307", "Priya Raman", "praman", 4, 12, true, []string{"en"}},
	{"308", "Tom Ashdown", "tashdown", 8, 16, false, []string{"en"}},
	{"309", "Claire Moreau", "cmoreau", 8, 17, false, []string{"fr", "en"}},
	{"310", "Mateus Rocha", "mrocha", 13, 22, false, []string{"es", "en"}},
	{"311", "Ingrid Solberg", "isolberg", 9, 17, false, []string{"de", "en"}},
	{"312", "Grace Okafor", "gokafor", 14, 23, true, []string{"en"}},
	{"313", "Aki Nomura", "anomura", 2, 10, true, []string{"ja"}},
	{"314", "Dalia Shahin", "dalia", 10, 18, true, []string{"ar", "he"}},
}

// firstName is how an agent signs a message.
func (a *agent) firstName() string {
	name, _, _ := strings.Cut(a.FullName, " ")
	return name
}

// onShift reports whether the agent is at work at t.
func (a *agent) onShift(t time.Time) bool {
	return a.from <= t.Hour() && t.Hour() < a.to && (a.weekends || !weekend(t))
}

// nextAgent picks an agent who speaks the language and is not one of the given,
// of those at work at t or, if there is none, as soon as there is one. It
// returns nil if nobody else speaks the language.
func nextAgent(rng *rand.Rand, language string, t time.Time, not ...*agent) (*agent, time.Time) {
	for range 24 * 4 {
		var free []*agent
		for i := range agents {
			a := &agents[i]
			if a.onShift(t) && slices.Contains(a.languages, language) && !slices.Contains(not, a) {
				free = append(free, a)
			}
		}
		if len(free) > 0 {
			return free[rng.IntN(len(free))], t
		}
		t = t.Truncate(time.Hour).Add(time.Hour)
	}
	return nil, t
}
