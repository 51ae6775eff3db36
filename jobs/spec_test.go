package jobs

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

var updateSpecs = flag.Bool("update-specs", false, "write the golden files of testdata/spec anew")

// specEnv is the environment of all spec tests.
func specEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"SEGMENT_WRITE_KEY": "k3y",
		"CHAT_DATABASE_URL": "postgres://reader:hunter2@db/chat",
		"RATE":              "250",
		"EMPTY":             "",
		"REGION":            "mars",
		"INJECTION":         "x\nledger: off\n# \"",
	}[name]
	return value, ok
}

// parseSpecFile parses a file of testdata/spec under its bare name, so that
// messages do not depend on where the repository is.
func parseSpecFile(t *testing.T, path string) (*Spec, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := specEnv
	if strings.Contains(path, "kubernetes") {
		env = func(name string) (string, bool) {
			if name == "KUBERNETES_SERVICE_HOST" {
				return "10.0.0.1", true
			}
			return specEnv(name)
		}
	}
	return ParseSpec(filepath.Base(path), data, env)
}

func TestParseSpecGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/spec/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d golden files (%v), want 40 at least", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			spec, err := parseSpecFile(t, file)
			if err == nil {
				matchGolden(t, base+".json", goldenJSON(t, spec))
				return
			}
			if ExitCode(err) != ExitUsage {
				t.Errorf("exit code %d, want %d", ExitCode(err), ExitUsage)
			}
			matchGolden(t, base+".err", err.Error()+"\n")
		})
	}
}

func goldenJSON(t *testing.T, spec *Spec) string {
	data, err := json.MarshalIndent(spec.Settings(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}

// matchGolden compares with a golden file. Its counterpart of the other
// outcome must not be there.
func matchGolden(t *testing.T, path, got string) {
	t.Helper()
	if *updateSpecs {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; got\n%s", err, got)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestParseSpecOKFull(t *testing.T) {
	spec, err := parseSpecFile(t, "testdata/spec/ok_postgres.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := spec.Source.Postgres
	if got := p.DSN.Reveal(); got != "postgres://reader:hunter2@db/chat" {
		t.Errorf("dsn %q", got)
	}
	bot := "bot"
	want := extract.Field{Column: "author_type", Values: map[string]string{"user": "customer", "3": "agent", "null": "system"}, Default: &bot}
	if diff := cmp.Diff(want, p.Messages[0].Fields["role"]); diff != "" {
		t.Errorf("role (-want +got):\n%s", diff)
	}
	if got := p.Messages[0].Fields["kind"].Expr; got != `private ? "${NOT_RESOLVED}" : "message"` {
		t.Errorf("expr %q", got)
	}
	if got := p.Lookups["contacts"]; got.Table != "public.contacts" || got.Key != "id" {
		t.Errorf("lookup %+v", got)
	}
	segment := spec.Destination.Segment
	if segment.Rate != 250 || segment.WriteKey.Reveal() != "k3y" || segment.Endpoint != "" {
		t.Errorf("segment: rate %v, endpoint %q", segment.Rate, segment.Endpoint)
	}
	wantAny := map[string]any{"All": false, "Amplitude": map[string]any{"n": uint64(1), "f": 1.5, "list": []any{"x", nil, true}}}
	if diff := cmp.Diff(wantAny, segment.Integrations); diff != "" {
		t.Errorf("integrations (-want +got):\n%s", diff)
	}
	if got := spec.State.Postgres.Reveal(); got != "postgres://state:pw@db/state" {
		t.Errorf("state %q", got)
	}
	if spec.Conversation.EndAfterIdle != 7*24*time.Hour+12*time.Hour {
		t.Errorf("end_after_idle %v", spec.Conversation.EndAfterIdle)
	}
	if spec.Conversation.Properties["note"] != "x\nledger: off\n# \"" || !spec.Ledger {
		t.Errorf("a variable's value was read as YAML: %q, ledger %v", spec.Conversation.Properties["note"], spec.Ledger)
	}
}

func TestParseSpecOKDefaults(t *testing.T) {
	spec, err := parseSpecFile(t, "testdata/spec/ok_minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{spec.Namespace, spec.Label(), spec.State.SQLite, spec.Drain, spec.Ledger, spec.CatchUp, spec.Timezone,
		spec.Conversation.WaitForAgent, spec.Rejects, spec.Source.Parquet.Memory, spec.Source.Parquet.Lookback,
		spec.Path("a/b.parquet"), spec.Path("s3://x/y"), spec.Path("/abs")}
	want := []any{"minimal", "file", filepath.Join(dir, "minimal.state.db"), 20 * time.Second, true, true, "Etc/UTC",
		time.Hour, RejectsSpec{Scope: "conversation", Max: RejectsMax{Rows: 0.01, Conversations: 0.1}}, Size(256_000_000), time.Duration(0),
		filepath.Join(dir, "a/b.parquet"), "s3://x/y", "/abs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	options := spec.Options()
	if options.Agent != transform.Handling || options.Label != "file" || options.Namespace != "minimal" || !options.HoldRejected {
		t.Errorf("options %+v", options)
	}
}

func TestLoadSpecReadsSecretsAndState(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key", "from-file\n")
	write("job.yaml", `
name: j
source: {parquet: {messages: {files: a.parquet}}}
destination: {segment: {source: s, write_key: "file:key"}}
state: sqlite:sub/x.db
`)
	spec, err := LoadSpec(filepath.Join(dir, "job.yaml"), specEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Destination.Segment.WriteKey.Reveal(); got != "from-file" {
		t.Errorf("write key %q", got)
	}
	if got, want := spec.State.SQLite, filepath.Join(dir, "sub/x.db"); got != want {
		t.Errorf("state %q, want %q", got, want)
	}
}

func TestLoadSpecErrMissingFile(t *testing.T) {
	_, err := LoadSpec(filepath.Join(t.TempDir(), "none.yaml"), specEnv)
	if ExitCode(err) != ExitUsage || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v (exit %d)", err, ExitCode(err))
	}
}

func TestParseSpecErrorsHideSecrets(t *testing.T) {
	for _, file := range []string{"err_secret_line", "err_secret_syntax", "err_secret_variable", "err_secret_keys", "err_state", "err_endpoint", "err_label"} {
		_, err := parseSpecFile(t, "testdata/spec/"+file+".yaml")
		if err == nil {
			t.Errorf("%s: no error", file)
			continue
		}
		for _, secret := range []string{"hunter2", "k3y"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q in\n%v", file, secret, err)
			}
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1h", "d", "1d-2h", "1d+2h", "999999d", "1e9h", "7 days", "1h1d", "9999999999h", "100000d2000000h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestCheckCron(t *testing.T) {
	for _, expression := range []string{"15 * * * *", "0 3 * * mon-fri", "@daily", "0 0 29 2 *"} {
		if err := checkCron(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
	for _, expression := range []string{"", "* * * *", "TZ=UTC", "CRON_TZ=UTC", "TZ=UTC * * * * *", "0 0 30 2 *", "@every 5m", "61 * * * *", "*/0 * * * *", "@"} {
		if err := checkCron(expression); err == nil {
			t.Errorf("%q: no error", expression)
		}
	}
}

// TestParseSpecHostile feeds what is made to take long or much. The bounds are
// far above what it takes, for slow machines and the race detector, and far
// below what grows with the square of the text.
func TestParseSpecHostile(t *testing.T) {
	const size = maxSpecSize
	for name, text := range map[string]string{
		"brackets":     strings.Repeat("[", size),
		"braces":       strings.Repeat("{", size),
		"dashes":       strings.Repeat("- ", size/2),
		"dashes few":   strings.Repeat("- ", 7900),
		"brackets few": strings.Repeat("[", 7900),
		"keys":         strings.Repeat("a: 1\n", size/5),
		"keys few":     strings.Repeat("a: 1\n", 2600),
		"flow":         "{" + strings.Repeat("a: 1,", 1900) + "}",
		"blank lines":  "a: |\n" + strings.Repeat(" \n", 90_000),
		"blank few":    "name: |\n" + strings.Repeat(" a\n", 1300) + strings.Repeat("\n", 700),
		"blank plain":  "name: a\n" + strings.Repeat("\n", 1900) + " b",
		"blank quoted": "name: \"a\n" + strings.Repeat("\n", 1900) + " b\"",
		"literal":      "name: |\n" + strings.Repeat(" aaaaaaaaaaaaaaa\n", size/20),
		"long key":     strings.Repeat("a", size-10) + ": 1",
		"long quote":   `name: "` + strings.Repeat("a", size-20) + `"`,
		"variables":    `name: "` + strings.Repeat("${", 20_000) + `"`,
		"anchors":      strings.Repeat("- &a b\n", size/7),
		"too large":    strings.Repeat("a", size+1),
		"comments":     strings.Repeat("# a\n", 90_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := ParseSpec("x.yaml", []byte(text), specEnv)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("no error")
			}
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MB, message of %d bytes", took, allocated, len(err.Error()))
			if allocated > 100 || took > time.Minute || len(err.Error()) > 100_000 {
				t.Errorf("took %v and %d MB, message of %d bytes", took, allocated, len(err.Error()))
			}
		})
	}
}

func TestSettingsClasses(t *testing.T) {
	base := readSpecTest(t, "testdata/spec/ok_postgres.yaml")
	for change, want := range map[string]string{
		"chat_id -> chat_key":                        SettingsIDs,
		"source: support-chat-prod -> source: other": SettingsIDs,
		"body: text -> body: html":                   SettingsContent,
		"outbound: exclude -> outbound: include":     SettingsContent,
		"public.chat_messages -> public.messages":    SettingsReading,
		"rate: ${RATE} -> rate: 1":                   SettingsFree,
		"${SEGMENT_WRITE_KEY} -> another":            "",
		"postgres://state:pw -> postgres://s:pw":     "",
	} {
		from, to, _ := strings.Cut(change, " -> ")
		changed := strings.Replace(base, from, to, 1)
		if changed == base {
			t.Fatalf("%s changes nothing", change)
		}
		if diff := cmp.Diff(strings.Fields(want), differingClasses(t, base, changed)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", change, diff)
		}
	}
}

func TestSettingsSurviveFurtherSet(t *testing.T) {
	one := "name: j\nsource: {parquet: {messages: [{name: a, files: [a.parquet], fields: {message_id: id}}]}}\ndestination: {file: {path: x.ndjson}}\n"
	two := strings.Replace(one, "[{name: a", "[{name: b, files: [b.parquet]}, {name: a", 1)
	if diff := cmp.Diff([]string{SettingsReading}, differingClasses(t, one, two)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSettingsOfFurtherSet: to read one more set changes no ids, whatever is
// mapped in it; another column for the ids of a set that was there does.
func TestSettingsOfFurtherSet(t *testing.T) {
	const head, tail = "name: j\nsource: {parquet: {messages: [", "]}}\ndestination: {file: {path: x.ndjson}}\n"
	const a, b = "{name: a, files: [a.parquet], fields: {message_id: id}}", "{name: b, files: [b.parquet], fields: {message_id: id}}"
	settings := func(sets string) map[string]json.RawMessage {
		spec, err := ParseSpec("x.yaml", []byte(head+sets+tail), specEnv)
		if err != nil {
			t.Fatal(err)
		}
		return spec.Settings()
	}
	for name, test := range map[string]struct{ was, now, class string }{
		"one more":       {a, a + ", " + b, SettingsReading},
		"one less":       {a + ", " + b, b, SettingsReading},
		"another column": {a, strings.Replace(a, "id}}", "uuid}}", 1), SettingsIDs},
	} {
		changes, err := diffSettings(settings(test.was), settings(test.now))
		if err != nil || len(changes) == 0 {
			t.Errorf("%s: changes %v, %v", name, changes, err)
		}
		for _, c := range changes {
			if c.Class != test.class {
				t.Errorf("%s: %v, want class %s", name, c, test.class)
			}
		}
	}
}

func readSpecTest(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func differingClasses(t *testing.T, before, after string) []string {
	t.Helper()
	parse := func(text, name string) map[string]json.RawMessage {
		spec, err := ParseSpec(name, []byte(text), specEnv)
		if err != nil {
			t.Fatal(err)
		}
		return spec.Settings()
	}
	a, b := parse(before, "x.yaml"), parse(after, "/elsewhere/x.yaml")
	differing := []string{}
	for _, class := range []string{SettingsFree, SettingsReading, SettingsContent, SettingsIDs} {
		if !reflect.DeepEqual(a[class], b[class]) {
			differing = append(differing, class)
		}
	}
	return differing
}

// FuzzParseSpec: whatever the file, there is a spec or a list of mistakes, soon.
func FuzzParseSpec(f *testing.F) {
	files, err := filepath.Glob("testdata/spec/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			checkParsed(t, data)
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("still parsing after a minute")
		}
	})
}

func checkParsed(t *testing.T, data []byte) {
	spec, err := ParseSpec("fuzz.yaml", data, specEnv)
	var mistakes SpecErrors
	switch {
	case err == nil:
		spec.Settings()
		spec.Options()
	case !errors.As(err, &mistakes) || len(mistakes) == 0 || err.Error() == "":
		t.Errorf("error without mistakes: %v", err)
	}
}
