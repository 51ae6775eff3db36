package chaos

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// withhold says that nothing of a customer is delivered but what was accepted
// already.
func (o *oracle) withhold(customer string, accepted map[string]segmenttest.Event) {
	for chat, ids := range o.order {
		if !strings.Contains(string(o.expected[ids[0]]), `"userId":"`+customer+`"`) {
			continue
		}
		for _, id := range slices.Clone(ids) {
			if _, ok := accepted[id]; !ok {
				o.refuse(chat, id)
			}
		}
		delete(o.rejected, chat)
	}
}

// metricsAreTrue: what a run says of itself in metrics is what was accepted.
func metricsAreTrue(r *rig) {
	var pushed []byte
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if body, err := io.ReadAll(q.Body); err == nil {
			pushed = body
		}
	}))
	r.Cleanup(gateway.Close)
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N == 2 {
			return segmenttest.Throttle("0")
		}
		return segmenttest.Answer{}
	})
	r.run(jobs.ExitDone, "--push", gateway.URL)
	r.check()
	counted := 0
	families := expfmt.NewDecoder(bytes.NewReader(pushed), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var family dto.MetricFamily
		if err := families.Decode(&family); err == io.EOF {
			break
		} else if err != nil {
			r.Fatal(err)
		}
		if family.GetName() == "chatbackfill_events_total" {
			for _, m := range family.GetMetric() {
				counted += int(m.GetCounter().GetValue())
			}
		}
	}
	if counted != len(r.oracle.expected) {
		r.Errorf("metrics count %d events, %d were accepted", counted, len(r.oracle.expected))
	}
	if strings.Contains(string(pushed), secretKey) || strings.Contains(string(pushed), secretText) {
		r.Error("a secret is in the metrics")
	}
	var runs []struct{ Events, Rows int }
	p := r.command(jobs.ExitDone, "runs", "job.yaml", "-o", "json")
	if err := json.Unmarshal(p.output.Bytes(), &runs); err != nil {
		r.Fatal(err)
	}
	if runs[0].Events != counted || runs[0].Rows != r.oracle.readRows {
		r.Errorf("runs says %+v, want %d events of %d rows", runs[0], counted, r.oracle.readRows)
	}
}

// lossIsFound: an event is taken out of the ledger, further ones were never sent,
// and one has another text now.
func lossIsFound(r *rig) {
	r.run(jobs.ExitDone)
	r.check()
	r.command(jobs.ExitDone, "verify", "job.yaml")

	lost := r.lose()
	more := r.workload.newChat()
	r.source.add(r.T, more)
	was := maps.Clone(r.oracle.expected)
	r.oracle.phase(more)
	r.phase++
	for id := range r.oracle.expected {
		if was[id] == nil {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	if diff := cmp.Diff(lost, r.missing()); diff != "" {
		r.Errorf("missing (-want +got)\n%s", diff)
	}
	// What is missing is sent by a run that reads everything; of what was sent
	// before, Segment knows the ids.
	r.unsaid.Add(1)
	r.parted = true
	r.run(jobs.ExitDone, "--full")
	r.check()
	r.command(jobs.ExitDone, "verify", "job.yaml")
}

// lose takes the last event of some chat out of the ledger, and returns its id.
func (r *rig) lose() []string {
	r.Helper()
	chats := r.inOrder()
	chat := chats[r.random.IntN(len(chats))]
	query := `UPDATE ` + r.store.schema + `ledger SET entries = substr(entries, 1, length(entries) - 16) WHERE conversation = $1`
	if r.combination.store == inSQLite {
		r.sqlite(query, []byte(chat))
	} else if _, err := r.store.db.Exec(query, []byte(chat)); err != nil {
		r.Fatal(err)
	}
	ids := r.oracle.order[chat]
	return []string{ids[len(ids)-1]}
}

// missing are the events that verify says are missing, sorted.
func (r *rig) missing() (ids []string) {
	r.Helper()
	export := filepath.Join(r.dir, "findings.ndjson")
	r.command(jobs.ExitVerify, "verify", "job.yaml", "--export", export)
	data, err := os.ReadFile(export)
	if err != nil {
		r.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var f jobs.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			r.Fatal(err)
		}
		if f.Problem != jobs.Missing {
			r.Errorf("verify found %s", line)
			continue
		}
		ids = append(ids, f.MessageID)
	}
	slices.Sort(ids)
	return ids
}
