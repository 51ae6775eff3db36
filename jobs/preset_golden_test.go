package jobs

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPresetGolden runs every preset over the rows of its folder in
// testdata/presets: tables.sql for Postgres, in a schema of their own that the
// DSN names, as the presets' comments tell people to; for Parquet a list of rows for each
// folder of files. events.txt says what comes out. Nothing may be rejected.
func TestPresetGolden(t *testing.T) {
	for _, preset := range Presets() {
		t.Run(preset.Name, func(t *testing.T) {
			t.Parallel()
			g := newGoldenPreset(t, preset)
			matchGolden(t, filepath.Join(g.rows, "events.txt"), g.run(preset.JobSource()))
			if again := g.execute(); again.Tally.RowCount() > 0 {
				t.Errorf("a second run reads rows that have not changed: %v", again.Tally.Rows)
			}
		})
	}
}

// TestPresetChangesAsDocumented runs what the comments of the presets and the
// documentation propose to change, over the same rows.
func TestPresetChangesAsDocumented(t *testing.T) {
	proposed := map[string][]string{} // sources, by preset
	for _, preset := range Presets() {
		for _, match := range regexp.MustCompile(`(?m)^#.*\b(conversations: \{fields: .*\})$`).FindAllStringSubmatch(preset.Text, -1) {
			dsn := ""
			if preset.Source == "postgres" {
				dsn = "    dsn: ${CHAT_DATABASE_URL}\n"
			}
			if !strings.Contains(match[1], "lookup(") { // in a table of the reader's own
				source := fmt.Sprintf("source:\n  %s:\n%s    preset: %s\n    %s\n", preset.Source, dsn, preset.Name, match[1])
				proposed[preset.Name] = append(proposed[preset.Name], source)
			}
		}
	}
	for _, page := range []string{"chatwoot", "intercom", "zendesk"} {
		for _, match := range regexp.MustCompile("(?s)```yaml\n(source:.*?preset: (\\S+).*?)```").FindAllStringSubmatch(readSpecTest(t, "../docs/"+page+".md"), -1) {
			proposed[match[2]] = append(proposed[match[2]], match[1])
		}
	}
	for _, preset := range Presets() {
		for _, source := range proposed[preset.Name] {
			t.Run(preset.Name, func(t *testing.T) {
				t.Parallel()
				g := newGoldenPreset(t, preset)
				if out := g.run(source); !strings.Contains(out, "Started") {
					t.Errorf("nothing comes out of\n%s\n%s", source, out)
				}
			})
		}
	}
	if len(proposed) < 7 {
		t.Errorf("found changes of %d presets", len(proposed))
	}
}

type goldenPreset struct {
	*testing.T
	preset Preset
	rows   string // folder
	dir    string // of the job
	dsn    string
	spec   *Spec // of the job that was run
}

// newGoldenPreset puts the rows of a preset where it reads them.
func newGoldenPreset(t *testing.T, preset Preset) *goldenPreset {
	g := &goldenPreset{T: t, preset: preset, rows: filepath.Join("testdata", "presets", preset.Name), dir: t.TempDir()}
	if preset.Source == "postgres" {
		g.dsn = g.fillTables()
	} else {
		g.writeFiles()
	}
	return g
}

func (g *goldenPreset) fillTables() (dsn string) {
	statements := readSpecTest(g.T, filepath.Join(g.rows, "tables.sql"))
	dsn = postgrestest.New(g.T)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		g.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(g.Context(), "CREATE SCHEMA vendor; SET search_path = vendor;\n"+statements); err != nil {
		g.Fatal(err)
	}
	if strings.Contains(dsn, "?") {
		return dsn + "&search_path=vendor"
	}
	return dsn + "?search_path=vendor"
}

// writeFiles writes the rows of every NAME.json into a file in the folder NAME.
func (g *goldenPreset) writeFiles() {
	files, err := filepath.Glob(filepath.Join(g.rows, "*.json"))
	if err != nil || len(files) == 0 {
		g.Fatalf("found no rows in %s: %v", g.rows, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		writeJSONRows(g.T, filepath.Join(g.dir, name, "part-0.parquet"), readSpecTest(g.T, file))
	}
}

func (g *goldenPreset) run(source string) string {
	job := fmt.Sprintf("name: support-chat\n%sdestination: {file: {path: events.ndjson}}\n", source)
	env := func(name string) (string, bool) { return g.dsn, name == "CHAT_DATABASE_URL" }
	var err error
	if g.spec, err = ParseSpec(filepath.Join(g.dir, "job.yaml"), []byte(job), env); err != nil {
		g.Fatalf("%v\n%s", err, job)
	}
	summary := g.execute()
	if summary.Rejects > 0 {
		g.Errorf("%d rejects: %v %v", summary.Rejects, summary.Tally.Rows, summary.Tally.Events)
	}
	events, err := os.ReadFile(filepath.Join(g.dir, "events.ndjson"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintln(&out, "rows")
	for _, outcome := range slices.Sorted(maps.Keys(summary.Tally.Rows)) {
		if n := summary.Tally.Rows[outcome]; n > 0 {
			fmt.Fprintf(&out, "%5d  %s\n", n, outcome)
		}
	}
	g.describe(&out, events)
	return out.String()
}

func (g *goldenPreset) execute() Summary {
	summary, err := Execute(g.Context(), Execution{Spec: g.spec, Log: quiet, Final: true})
	if err != nil {
		g.Fatal(err)
	}
	return summary
}

// describe writes the events for people: the conversations, who is known of
// their customers, and a line for each event.
func (g *goldenPreset) describe(out *strings.Builder, events []byte) {
	type properties struct {
		Conversation string  `json:"conversation_id"`
		Message      string  `json:"message_id"`
		Body         *string `json:"message_body"`
		Duration     int     `json:"conversation_duration"`
		AgentID      string  `json:"agent_id"`
		AgentName    string  `json:"agent_name"`
		AgentUser    string  `json:"agent_username"`
	}
	heading := ""
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.StripEscape)
	for line := range bytes.Lines(events) {
		var e struct {
			Event, UserID, AnonymousID string
			Timestamp                  time.Time
			Properties                 properties
		}
		if err := json.Unmarshal(line, &e); err != nil {
			g.Fatal(err)
		}
		p := e.Properties
		here := fmt.Sprintf("\nconversation %s%s%s\n", p.Conversation, labelled(", userId ", e.UserID), labelled(", anonymousId ", e.AnonymousID))
		if here != heading {
			table.Flush()
			out.WriteString(here)
			heading = here
		}
		agent := strings.Join(strings.Fields(p.AgentID+" "+p.AgentName+" "+p.AgentUser), " ")
		body := "no text"
		if p.Body != nil {
			body = fmt.Sprintf("%q", *p.Body)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%ds\t%s\t%s\n", e.Timestamp.Format("2006-01-02 15:04:05.999"),
			strings.TrimPrefix(strings.TrimPrefix(e.Event, "Live Chat "), "Conversation "), p.Message, p.Duration, orDash(agent), body)
	}
	table.Flush()
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// writeJSONRows writes a JSON list of objects as Parquet. The columns are all
// that any row has, of the types of their values.
func writeJSONRows(t *testing.T, path, rows string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(rows))
	decoder.UseNumber()
	var values []any
	if err := decoder.Decode(&values); err != nil {
		t.Fatalf("decode the rows of %s: %v", path, err)
	}
	schema := arrow.NewSchema(arrowType(values).(*arrow.ListType).Elem().(*arrow.StructType).Fields(), nil)
	table, err := array.TableFromJSON(memory.DefaultAllocator, schema, []string{rows})
	if err != nil {
		t.Fatalf("make the rows of %s: %v", path, err)
	}
	defer table.Release()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := pqarrow.WriteTable(table, f, table.NumRows(), parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema())); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

// arrowType is the type of a value of JSON; of several, those of a list, one
// that fits all.
func arrowType(values ...any) arrow.DataType {
	members, elements := map[string][]any{}, []any{}
	var found arrow.DataType = arrow.BinaryTypes.String
	for _, value := range values {
		switch value := value.(type) {
		case bool:
			found = arrow.FixedWidthTypes.Boolean
		case json.Number:
			if found = arrow.PrimitiveTypes.Int64; strings.ContainsAny(value.String(), ".eE") {
				found = arrow.PrimitiveTypes.Float64
			}
		case []any:
			elements, found = append(elements, value...), nil
		case map[string]any:
			for name, member := range value {
				members[name] = append(members[name], member)
			}
		}
	}
	switch {
	case found == nil:
		return arrow.ListOf(arrowType(elements...))
	case len(members) == 0:
		return found
	}
	var fields []arrow.Field
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fields = append(fields, arrow.Field{Name: name, Type: arrowType(members[name]...), Nullable: true})
	}
	return arrow.StructOf(fields...)
}
