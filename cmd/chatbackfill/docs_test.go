package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// promise is what the README says that the program keeps. Tests all over the
// project hold it; this one holds its words.
const promise = `> Every transcript row that the source shows below a run's upper bound ends in exactly one of: an event accepted by Segment's API, a message noted as waiting for a stated time, a reject kept with its reason, a
> duplicate, or a row ignored or suppressed for a stated reason. All are counted and the counts add up, or the run does not exit 0. An event has one ` + "`messageId`" + ` for ever, and is not sent again once it was accepted and
> recorded. A run may be killed at any instant: the next one continues, and at most the chunks then in flight (20,000 events) are sent again, with the same ids, which Segment removes for about a day.`

func TestReadmePromises(t *testing.T) {
	if !strings.Contains(readDoc(t, "README.md"), promise) {
		t.Error("the README does not have the promise, word for word")
	}
}

// TestDocumentedJobs reads the job files of the documentation, and those of
// which it shows only the source.
func TestDocumentedJobs(t *testing.T) {
	env := func(name string) (string, bool) {
		return "postgres://user@localhost/" + name, name != "KUBERNETES_SERVICE_HOST"
	}
	dir := t.TempDir()
	preset, err := jobs.FindPreset("chatwoot")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "our-chatwoot.yaml"), preset.Text)
	block := regexp.MustCompile("(?s)```yaml\n((?:#[^\n]*\n)*(?:name|source):.*?)```")
	for page, least := range map[string]int{
		"README.md": 2, "docs/presets.md": 4, "docs/chatwoot.md": 3, "docs/intercom.md": 4, "docs/zendesk.md": 3,
	} {
		blocks := block.FindAllStringSubmatch(readDoc(t, page), -1)
		if len(blocks) < least {
			t.Errorf("%d job files in %s, want %d at least", len(blocks), page, least)
		}
		for _, block := range blocks {
			job := block[1]
			if strings.HasPrefix(job, "source:") {
				job += "\nname: shown\ndestination: {file: {path: events.ndjson}}\n"
			}
			if _, err := jobs.ParseSpec(filepath.Join(dir, filepath.Base(page)), []byte(job), env); err != nil {
				t.Errorf("%s: %v\n%s", page, err, job)
			}
		}
	}
}

// TestDocumentedPresets: the documentation lists every preset, and no other.
func TestDocumentedPresets(t *testing.T) {
	var listed, shipped []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z-]+@[0-9]+)` \\|").FindAllStringSubmatch(readDoc(t, "docs/presets.md"), -1) {
		listed = append(listed, match[1])
	}
	for _, preset := range jobs.Presets() {
		shipped = append(shipped, preset.Name)
	}
	if slices.Sort(listed); !slices.Equal(listed, shipped) {
		t.Errorf("docs/presets.md lists %v, there are %v", listed, shipped)
	}
}

// TestOperations parses the job file and every command line of the page, down to
// flags and numbers of arguments.
func TestOperations(t *testing.T) {
	page := readDoc(t, "docs/operations.md")
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"SEGMENT_WRITE_KEY": "key"}[name]
		return value, ok
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if _, err := jobs.ParseSpec("operations.yaml", []byte(block[1]), env); err != nil {
			t.Error(err)
		}
	}
	lines := regexp.MustCompile(`(?m)^ *chatbackfill ([^#\n]*)`).FindAllStringSubmatch(page, -1)
	if len(lines) < 20 {
		t.Fatalf("%d command lines", len(lines))
	}
	for _, line := range lines {
		c, args, err := (&app{}).root().Find(strings.Fields(line[1]))
		if err == nil {
			err = c.ParseFlags(args)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil || !c.Runnable() {
			t.Errorf("chatbackfill %s: %v", line[1], err)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(page, -1) {
		heading := strings.ReplaceAll(link[1], "-", " ")
		if !strings.Contains(strings.ReplaceAll(strings.ToLower(page), ",", ""), "# "+heading+"\n") {
			t.Errorf("there is no heading for #%s", link[1])
		}
	}
}

// TestReadmeExitCodes holds the README's table to the program's constants.
func TestReadmeExitCodes(t *testing.T) {
	readme := readDoc(t, "README.md")
	for _, code := range []int{
		jobs.ExitDone, jobs.ExitUnexpected, jobs.ExitUsage, jobs.ExitDiffers, jobs.ExitRefused, jobs.ExitRejects,
		jobs.ExitVerify, jobs.ExitInterrupted, jobs.ExitTakenOver, jobs.ExitLeaseHeld,
	} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\| (\d+, )?%d[ ,]`, code)).MatchString(readme) {
			t.Errorf("the README does not list exit code %d", code)
		}
	}
}

// TestDocumentedCommands: every command and flag that the documentation names
// exists, and every command is documented.
func TestDocumentedCommands(t *testing.T) {
	docs := readDoc(t, "README.md") + readDoc(t, "docs/jobs.md") + readDoc(t, "docs/presets.md") +
		readDoc(t, "docs/chatwoot.md") + readDoc(t, "docs/intercom.md") + readDoc(t, "docs/zendesk.md") +
		readDoc(t, "docs/getting-started-parquet.md") + readDoc(t, "docs/getting-started-postgres.md")
	root := (&app{}).root()
	for _, match := range regexp.MustCompile("(?m)(?:^|`)chatbackfill ([a-z]+)").FindAllStringSubmatch(docs, -1) {
		if c, _, err := root.Find([]string{match[1]}); err != nil || c == root {
			t.Errorf("the documentation names chatbackfill %s, which does not exist", match[1])
		}
	}
	var missing []string
	for _, c := range root.Commands() {
		if !strings.Contains(docs, "`"+c.Name()) && c.Name() != "help" {
			missing = append(missing, c.Name())
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("commands that are not documented: %v", missing)
	}
	run, _, err := root.Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("run --([a-z-]+)").FindAllStringSubmatch(docs, -1) {
		if run.Flags().Lookup(match[1]) == nil {
			t.Errorf("the documentation names run --%s, which does not exist", match[1])
		}
	}
}
