package chaos

import (
	"fmt"
	"strings"

	"github.com/chatbackfill/chatbackfill/jobs"
)

// memoryIsShort: the rows are larger than the memory that a process may have,
// and then there is too little even to begin.
func memoryIsShort(r *rig) {
	const megabytes = 250
	r.settings["source"] = strings.Replace(r.source.yaml(), "parquet:\n", "parquet:\n    memory: 32MB\n", 1)
	r.grow(r.workload.notes(2*megabytes<<20, 20_000))
	for _, limit := range []int{15, megabytes} {
		r.limit = limit
		p := r.start("run", "job.yaml")
		code := p.exit()
		if (code == jobs.ExitDone) != (limit == megabytes) {
			r.Errorf("%d MB of memory: exit %d\n%s", limit, code, lastOf(p.output.String()))
		}
	}
	r.limit = 0
	r.again()
	r.phase = 1 // both were added before the first run
	r.check()
}

// notes makes rows of agents' notes, from which nothing is delivered, in all
// chats alike: so many bytes of texts, of so many bytes each.
func (w *workload) notes(all, each int) (rows []row) {
	text := w.secret + strings.Repeat(" x", each/2)
	for i := range all / each {
		c := w.chats[i%len(w.chats)]
		rows = append(rows, row{
			Chat: c.id, ID: fmt.Sprintf("%s/note-%d", c.id, i), SentAt: c.rows[0].SentAt,
			Role: "agent", Kind: "note", Author: "agent-1", Body: text,
		})
	}
	return rows
}

func lastOf(text string) string { return text[max(0, len(text)-2000):] }
