//go:build unix

package main

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// walkThrough runs the commands of a page, one after the other in one folder,
// and looks for the outputs that the page shows in what they print.
func walkThrough(t *testing.T, page string) {
	t.Helper()
	text := readDoc(t, page)
	t.Chdir(t.TempDir())
	var printed bytes.Buffer
	commands := 0
	for _, block := range regexp.MustCompile("(?s)\n```([a-z]*)\n(.*?)```").FindAllStringSubmatch(text, -1) {
		switch kind, lines := block[1], strings.Split(strings.TrimRight(block[2], "\n"), "\n"); kind {
		case "":
			for _, line := range lines {
				commands++
				runLine(t, line, &printed)
			}
		case "text":
			for _, line := range lines {
				if !strings.Contains(printed.String(), line+"\n") {
					t.Errorf("%s shows a line that no command printed: %q", page, line)
				}
			}
		}
	}
	if commands < 4 {
		t.Errorf("%s has %d commands", page, commands)
	}
	if t.Failed() {
		t.Log(printed.String())
	}
}

func runLine(t *testing.T, line string, printed *bytes.Buffer) {
	t.Helper()
	args := strings.Fields(os.ExpandEnv(strings.ReplaceAll(line, `"`, "")))
	if args[0] != "chatbackfill" {
		t.Fatalf("%q is no command of this program", line)
	}
	if code := run(context.Background(), args[1:], strings.NewReader(""), printed, printed); code != 0 {
		t.Errorf("%s: exit %d", line, code)
	}
}

func TestGettingStartedParquet(t *testing.T) { walkThrough(t, "docs/getting-started-parquet.md") }

func TestGettingStartedPostgres(t *testing.T) {
	dsn := postgrestest.New(t)
	t.Setenv("CHAT_DATABASE_URL", dsn)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TABLE public.chat_messages AS SELECT i AS id, i % 60 AS chat_id,
		CASE i / 60 % 2 WHEN 0 THEN 'user' ELSE 'admin' END AS author_type, CASE i / 60 % 2 WHEN 0 THEN 'u' || i % 60 ELSE 'a1' END AS author_id,
		CASE i / 60 % 2 WHEN 0 THEN NULL ELSE 'Ana' END AS author_name, 'What was said was number ' || i AS text,
		timestamptz '2025-01-01' + i * interval '1 minute' AS created_at, timestamptz '2025-01-01' + i * interval '1 minute' AS inserted_at
		FROM generate_series(0, 479) i`)
	if err != nil {
		t.Fatal(err)
	}
	walkThrough(t, "docs/getting-started-postgres.md")
}
