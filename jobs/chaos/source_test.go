package chaos

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/writer"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// source holds the rows of a workload.
type source interface {
	// add adds the rows of a phase.
	add(t *testing.T, rows []row)
	// yaml is the source in a job file.
	yaml() string
}

// fields are the mapping of both sources.
const fields = `{conversation_id: chat, message_id: id, sequence: seq, author_id: author, user_id: contact, anonymous_id: visitor}`

// parquetFiles are rows in a folder, some new files a phase.
type parquetFiles struct {
	dir    string
	phases int
	group  int64 // bytes of a row group; 0: the library's
}

// fileRow is a row in a file.
type fileRow struct {
	Chat       string  `parquet:"name=chat, type=BYTE_ARRAY, convertedtype=UTF8"`
	ID         *string `parquet:"name=id, type=BYTE_ARRAY, convertedtype=UTF8"`
	SentAt     *int64  `parquet:"name=sent_at, type=INT64, logicaltype=TIMESTAMP, logicaltype.isadjustedtoutc=true, logicaltype.unit=MICROS"`
	ChangedAt  int64   `parquet:"name=changed_at, type=INT64, logicaltype=TIMESTAMP, logicaltype.isadjustedtoutc=true, logicaltype.unit=MICROS"`
	Seq        int32   `parquet:"name=seq, type=INT32"`
	Role       string  `parquet:"name=role, type=BYTE_ARRAY, convertedtype=UTF8"`
	Kind       string  `parquet:"name=kind, type=BYTE_ARRAY, convertedtype=UTF8"`
	Author     *string `parquet:"name=author, type=BYTE_ARRAY, convertedtype=UTF8"`
	AuthorName *string `parquet:"name=author_name, type=BYTE_ARRAY, convertedtype=UTF8"`
	Body       *string `parquet:"name=body, type=BYTE_ARRAY, convertedtype=UTF8"`
	Contact    *string `parquet:"name=contact, type=BYTE_ARRAY, convertedtype=UTF8"`
	Visitor    *string `parquet:"name=visitor, type=BYTE_ARRAY, convertedtype=UTF8"`
	Deleted    bool    `parquet:"name=deleted, type=BOOLEAN"`
}

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (r *row) sentAt() *time.Time {
	if r.SentAt.IsZero() {
		return nil
	}
	return &r.SentAt
}

func (r *row) inFile() fileRow {
	f := fileRow{
		Chat: r.Chat, ID: present(r.ID), ChangedAt: r.changedAt().UnixMicro(), Seq: r.Seq, Role: r.Role, Kind: r.Kind,
		Author: present(r.Author), AuthorName: present(r.AuthorName), Body: present(r.Body),
		Contact: present(r.Contact), Visitor: present(r.Visitor), Deleted: r.Deleted,
	}
	if at := r.sentAt(); at != nil {
		micros := at.UnixMicro()
		f.SentAt = &micros
	}
	return f
}

// filesOfPhase is over how many files the rows of a phase are spread.
const filesOfPhase = 3

func (p *parquetFiles) add(t *testing.T, rows []row) {
	t.Helper()
	files := make([][]row, filesOfPhase)
	for i, r := range rows {
		if r.WithoutName { // equal ones in two files would be one message
			i = 0
		}
		files[i%filesOfPhase] = append(files[i%filesOfPhase], r)
	}
	for i, part := range files {
		p.write(t, fmt.Sprintf("%02d-%d.parquet", p.phases, i), part)
	}
	p.phases++
}

// write writes a file as exporters should: complete before it has its name.
func (p *parquetFiles) write(t *testing.T, name string, rows []row) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	f, err := os.Create(path + ".tmp")
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.NewParquetWriterFromWriter(f, new(fileRow), 1)
	if err != nil {
		t.Fatal(err)
	}
	w.CompressionType = parquet.CompressionCodec_ZSTD
	if p.group > 0 {
		w.RowGroupSize = p.group
	}
	for i := range rows {
		if err := w.Write(rows[i].inFile()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.WriteStop(), f.Close(), os.Rename(path+".tmp", path)); err != nil {
		t.Fatal(err)
	}
}

func (p *parquetFiles) yaml() string {
	return `
  parquet:
    messages: {files: ["` + p.dir + `/*.parquet"], fields: ` + fields + `}`
}

// postgresTable is the rows in a table of a database of their own.
type postgresTable struct {
	admin string // a DSN that tests use
	env   string // the variable that holds the program's DSN
	db    *sql.DB
	extra string // further keys of source.postgres
}

const createChats = `
CREATE TABLE chats (chat text COLLATE "C", id text, sent_at timestamptz, changed_at timestamptz, seq int, role text, kind text,
	author text, author_name text, body text, contact text, visitor text, deleted boolean);
CREATE INDEX ON chats (chat);
CREATE INDEX ON chats (changed_at)`

func newPostgresTable(t *testing.T, admin, env string) *postgresTable {
	t.Helper()
	p := &postgresTable{admin: admin, env: env, db: connect(t, admin)}
	p.exec(t, createChats)
	return p
}

// connect opens a database until the test ends.
func connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (p *postgresTable) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := p.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func (p *postgresTable) add(t *testing.T, rows []row) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := addRows(t, tx, rows); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// addRows adds rows in a transaction: new versions replace those before them.
func addRows(t *testing.T, tx pgx.Tx, rows []row) error {
	var now time.Time
	if err := tx.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return err
	}
	var fresh [][]any
	for i := range rows {
		r := &rows[i]
		if r.Version > 0 {
			if _, err := tx.Exec(t.Context(), `DELETE FROM chats WHERE chat = $1 AND id = $2`, r.Chat, r.ID); err != nil {
				return err
			}
		}
		fresh = append(fresh, []any{r.Chat, present(r.ID), r.sentAt(), now, r.Seq, r.Role, r.Kind,
			present(r.Author), present(r.AuthorName), present(r.Body), present(r.Contact), present(r.Visitor), r.Deleted})
	}
	columns := []string{"chat", "id", "sent_at", "changed_at", "seq", "role", "kind", "author", "author_name", "body", "contact", "visitor", "deleted"}
	_, err := tx.CopyFrom(t.Context(), pgx.Identifier{"chats"}, columns, pgx.CopyFromRows(fresh))
	return err
}

func (p *postgresTable) yaml() string {
	return `
  postgres:
    dsn: ${` + p.env + `}
    settle: 0s
    overlap: 0s` + p.extra + `
    messages: {table: chats, fields: ` + fields + `}`
}

// newDatabase returns a database of the test's own: the DSN that tests use, and
// one with a password, which the server does not ask for, for the program.
func newDatabase(t *testing.T) (admin, program string) {
	t.Helper()
	admin = postgrestest.New(t)
	return admin, withPassword(t, admin)
}

func withPassword(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), secretPassword)
	return u.String()
}
