package jobs

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/google/go-cmp/cmp"
	"github.com/xitongsys/parquet-go/writer"
)

// arrivedRow is a row of an export that grows between runs.
type arrivedRow struct {
	Conversation string  `parquet:"name=conversation_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	ID           string  `parquet:"name=message_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	SentAt       int64   `parquet:"name=sent_at, type=INT64, convertedtype=TIMESTAMP_MILLIS"`
	Role         string  `parquet:"name=role, type=BYTE_ARRAY, convertedtype=UTF8"`
	Kind         string  `parquet:"name=kind, type=BYTE_ARRAY, convertedtype=UTF8"`
	Author       string  `parquet:"name=author_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	Body         *string `parquet:"name=body, type=BYTE_ARRAY, convertedtype=UTF8"`
}

// arrivals is a job over an export whose rows arrive one by one, and what it
// wrote into its file.
type arrivals struct {
	*testing.T
	dir  string
	file string // of the rows
	rows []arrivedRow
	more string // further lines of the job file
}

const arrivalsJob = `
name: arrivals
source:
  parquet:
    messages: {files: ['*.parquet'], fields: {user_id: author_id}}
conversation:
  wait_for_agent: 1h
  # MORE
destination: {file: {path: events.ndjson}}
`

func newArrivals(t *testing.T) *arrivals {
	return &arrivals{T: t, dir: t.TempDir(), file: "rows.parquet"}
}

// noon is when everything begins.
var noon = time.Date(2024, 5, 13, 12, 0, 0, 0, time.UTC)

// arrive adds a row that was sent so many minutes after noon.
func (a *arrivals) arrive(minute int, id, role, kind, author string) {
	sent := noon.Add(time.Duration(minute) * time.Minute)
	a.rows = append(a.rows, arrivedRow{"c", id, sent.UnixMilli(), role, kind, author, nil})
}

// run exports the rows as of so many minutes after noon and runs the job.
func (a *arrivals) run(minute int, change func(*Execution)) Summary {
	a.Helper()
	writeExport(a.T, filepath.Join(a.dir, a.file), minute, a.rows)
	file := strings.Replace(arrivalsJob, "# MORE", a.more, 1)
	spec, err := ParseSpec(filepath.Join(a.dir, "job.yaml"), []byte(file), os.LookupEnv)
	if err != nil {
		a.Fatal(err)
	}
	e := Execution{Spec: spec, Log: quiet}
	if change != nil {
		change(&e)
	}
	summary, err := Execute(a.Context(), e)
	if err != nil {
		a.Fatal(err)
	}
	return summary
}

// writeExport writes a file of rows as of so many minutes after noon.
func writeExport(t *testing.T, path string, minute int, rows []arrivedRow) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.NewParquetWriterFromWriter(f, new(arrivedRow), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	at := noon.Add(time.Duration(minute) * time.Minute)
	if err := errors.Join(w.WriteStop(), f.Close(), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

// sent are the events in the file: the last word of the name, message, seconds
// and agent of each.
func (a *arrivals) sent() []string {
	a.Helper()
	data, err := os.ReadFile(filepath.Join(a.dir, "events.ndjson"))
	if err != nil {
		a.Fatal(err)
	}
	var sent []string
	for line := range strings.Lines(string(data)) {
		var e struct {
			Event      string
			Properties struct {
				MessageID string `json:"message_id"`
				Duration  int    `json:"conversation_duration"`
				AgentID   string `json:"agent_id"`
				Inferred  bool   `json:"conversation_end_inferred"`
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			a.Fatal(err)
		}
		p := e.Properties
		text := strings.TrimSpace(strings.Join([]string{e.Event[strings.LastIndexByte(e.Event, ' ')+1:], p.MessageID, (time.Duration(p.Duration) * time.Second).String(), p.AgentID}, " "))
		if p.Inferred {
			text += " inferred"
		}
		sent = append(sent, text)
	}
	slices.Sort(sent)
	return sent
}

func (a *arrivals) want(events ...string) {
	a.Helper()
	slices.Sort(events)
	if diff := cmp.Diff(events, a.sent()); diff != "" {
		a.Errorf("events (-want +got)\n%s", diff)
	}
}

// TestWaitsForTheAgent: what no agent has answered waits, for at most as long as
// the job says, and is sent with the agent who answers in time.
func TestWaitsForTheAgent(t *testing.T) {
	a := newArrivals(t)
	a.arrive(0, "m1", "customer", "message", "anna")
	s := a.run(10, nil)
	if want := noon.Add(time.Hour); s.Due != 1 || !s.NextDue.Equal(want) || s.Tally.Events["waiting"] != 2 || s.Tally.Rows["waiting"] != 1 {
		t.Errorf("waiting: %+v", s)
	}
	a.arrive(20, "m2", "agent", "message", "bob")
	if s := a.run(30, nil); s.Due != 0 {
		t.Errorf("%d conversations are still due", s.Due)
	}
	a.want("Started m1 0s bob", "Sent m1 0s bob", "Received m2 20m0s bob")
}

// TestWaitsNoLongerThanSaid: what was not answered in time is sent without an
// agent, and not sent again when one answers after all.
func TestWaitsNoLongerThanSaid(t *testing.T) {
	a := newArrivals(t)
	a.arrive(0, "m1", "customer", "message", "anna")
	a.run(59, nil)
	a.run(60, nil)
	a.want("Started m1 0s", "Sent m1 0s")
	a.arrive(90, "m2", "agent", "message", "bob")
	a.run(100, nil)
	a.want("Started m1 0s", "Sent m1 0s", "Received m2 1h30m0s bob")
}

// TestFinal: a one-off import waits for nothing, also when it comes after runs
// that did, over an export that has not changed.
func TestFinal(t *testing.T) {
	a := newArrivals(t)
	a.arrive(0, "m1", "customer", "message", "anna")
	a.run(10, nil)
	a.run(10, func(e *Execution) { e.Final = true })
	a.want("Started m1 0s", "Sent m1 0s")
	if s := a.run(10, nil); !s.Nothing {
		t.Errorf("a further run: %+v", s)
	}
}

// TestKeepsTheStart: a customer's message from before the start that was
// delivered is sent, and does not start the conversation again.
func TestKeepsTheStart(t *testing.T) {
	a := newArrivals(t)
	a.arrive(10, "m1", "customer", "message", "anna")
	a.arrive(12, "m2", "agent", "message", "bob")
	a.run(20, nil)
	a.arrive(0, "m0", "customer", "message", "anna")
	a.arrive(15, "m3", "customer", "message", "anna")
	s := a.run(30, nil)
	if s.Tally.StartedLate != 1 {
		t.Errorf("%d conversations started late", s.Tally.StartedLate)
	}
	a.want("Started m1 0s bob", "Sent m1 0s bob", "Received m2 2m0s bob", "Sent m0 0s bob", "Sent m3 5m0s bob")
}

// TestInfersEndsOverRuns: an end is inferred once the export shows that nobody
// wrote for long enough, and a reopened chat has another.
func TestInfersEndsOverRuns(t *testing.T) {
	a := newArrivals(t)
	a.more = "end_after_idle: 30m"
	a.arrive(0, "m1", "customer", "message", "anna")
	a.arrive(5, "m2", "agent", "message", "bob")
	if s := a.run(10, nil); s.Due != 1 || !s.NextDue.Equal(noon.Add(35*time.Minute)) {
		t.Errorf("due: %d, %v", s.Due, s.NextDue)
	}
	a.run(35, nil)
	a.want("Started m1 0s bob", "Sent m1 0s bob", "Received m2 5m0s bob", "Ended m2 5m0s bob inferred")
	a.arrive(50, "m3", "customer", "message", "anna")
	a.run(200, nil)
	a.want("Started m1 0s bob", "Sent m1 0s bob", "Received m2 5m0s bob", "Ended m2 5m0s bob inferred",
		"Sent m3 50m0s bob", "Ended m3 50m0s bob inferred")
}

// later is another file of the export, of a chat that others have nothing to do
// with, but that shows that time has passed.
func (a *arrivals) later(minute int) {
	a.file = "later.parquet"
	a.rows = []arrivedRow{{"z", "m9", noon.Add(time.Duration(minute) * time.Minute).UnixMilli(), "customer", "message", "zoe", nil}}
}

// wantEnds reports another number of ends than were to be written.
func (a *arrivals) wantEnds(want int) {
	a.Helper()
	got := 0
	for _, event := range a.sent() {
		if strings.HasPrefix(event, "Ended ") {
			got++
		}
	}
	if got != want {
		a.Errorf("%d of %d chats have ended", got, want)
	}
}

// TestResumedPassNotes: what a resumed pass notes is known to the next pass, even
// if that is one of the same run.
func TestResumedPassNotes(t *testing.T) {
	a := newArrivals(t)
	a.more = "end_after_idle: 30m"
	for _, chat := range []string{"c", "d", "e"} {
		a.rows = append(a.rows, arrivedRow{chat, "m1", noon.UnixMilli(), "customer", "message", "anna", nil})
	}
	a.run(10, func(e *Execution) { e.Limit = 1 })
	a.later(200)
	a.run(200, nil)
	a.wantEnds(3)
}

// TestGoneChat: a chat that is not there any more is waited for once more, and
// not for ever; should it come back it is sent.
func TestGoneChat(t *testing.T) {
	a := newArrivals(t)
	a.arrive(0, "m1", "customer", "message", "anna")
	a.run(10, nil)
	gone := a.rows
	a.rows = []arrivedRow{{"z", "m9", noon.UnixMilli(), "customer", "message", "zoe", nil}}
	if s := a.run(90, nil); s.Due != 1 {
		t.Errorf("%d conversations are due once it is gone", s.Due)
	}
	if s := a.run(90, nil); s.Due != 0 || s.Nothing {
		t.Errorf("%d conversations are still due: %+v", s.Due, s)
	}
	if s := a.run(90, nil); !s.Nothing {
		t.Errorf("a further run: %+v", s)
	}
	a.rows = append(a.rows, gone...)
	a.run(100, nil)
	a.want("Started m9 0s", "Sent m9 0s", "Started m1 0s", "Sent m1 0s")
}

// TestRangeKeepsNotes: a run for a range of time that does not send what a chat
// waits for leaves it waiting.
func TestRangeKeepsNotes(t *testing.T) {
	a := newArrivals(t)
	a.more = "end_after_idle: 30m"
	a.arrive(0, "m1", "customer", "message", "anna")
	a.arrive(5, "m2", "agent", "message", "bob")
	a.run(10, nil)
	a.later(200)
	s := a.run(200, func(e *Execution) { e.Select = &Selection{Until: extract.TimeOf(noon.Add(time.Minute))} })
	if s.Due != 1 {
		t.Errorf("%d conversations wait", s.Due)
	}
	a.run(200, nil)
	a.wantEnds(1)
}

// TestSuppressedStaysUnsent: of a customer who is put on the list between two
// runs nothing more is sent, and it is counted.
func TestSuppressedStaysUnsent(t *testing.T) {
	a := newArrivals(t)
	a.more = "suppress: gone.txt"
	list := filepath.Join(a.dir, "gone.txt")
	if err := os.WriteFile(list, []byte("# nobody yet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.arrive(0, "m1", "customer", "message", "anna")
	a.arrive(1, "m2", "agent", "message", "bob")
	a.run(10, nil)
	// printf anna | sha256sum
	const anna = "sha256:55579b557896d0ce1764c47fed644f9b35f58bad620674af23f356d80ed0c503\n"
	if err := os.WriteFile(list, []byte(anna), 0o600); err != nil {
		t.Fatal(err)
	}
	a.arrive(2, "m3", "customer", "message", "anna")
	if s := a.run(20, nil); s.Tally.Rows["suppressed"] != 3 {
		t.Errorf("outcomes %v", s.Tally.Rows)
	}
	a.want("Started m1 0s bob", "Sent m1 0s bob", "Received m2 1m0s bob")
}
