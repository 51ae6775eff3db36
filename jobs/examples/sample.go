// Package examples makes up support chats: a year of a small web shop's live
// chat, in the shape of a plain export, one row a message.
//
// The chats are invented, yet have what real ones have: agents with shifts,
// bots, transfers, reopened and abandoned chats, visitors who stay anonymous,
// seven languages, rows that were synced twice, and a few rows that no mapping
// can make sense of. A seed and a number of conversations give the same rows on
// every machine.
//
// demo.yaml and segment.yaml in this folder are jobs that read them.
package examples

import (
	"bufio"
	"fmt"
	"io"

	"github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/writer"
)

//go:generate go test -run ^TestDemoData$ -update .

// The demo data in this folder, chats.parquet, was made with these.
const (
	DemoConversations = 2000
	DemoSeed          = 2025
)

const (
	pageSize     = 64 << 10
	rowGroupSize = 16 << 20
)

// Write writes the rows of so many conversations to w, as one Parquet file. The
// memory it needs does not grow with their number. If progress is not nil it is
// called after every conversation begun, with the number of them so far.
func Write(w io.Writer, conversations int, seed uint64, progress func(begun int)) error {
	if conversations < 0 {
		return fmt.Errorf("write sample: %d conversations: give a number from 0", conversations)
	}
	return writeParquet(w, new(record), func(add func(any) error) error {
		for row := range rows(conversations, seed, progress) {
			if err := add(row); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteAgents writes the directory of the agents who appear in the chats to w,
// as a Parquet file with the columns id, full_name and login.
func WriteAgents(w io.Writer) error {
	return writeParquet(w, new(agent), func(add func(any) error) error {
		for _, a := range agents {
			if err := add(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeParquet writes the values that fill adds; schema is a pointer to one.
func writeParquet(w io.Writer, schema any, fill func(add func(any) error) error) error {
	// The buffer also remembers an error of w, whatever the library makes of it.
	buf := bufio.NewWriterSize(w, 1<<20)
	pw, err := writer.NewParquetWriterFromWriter(buf, schema, 1)
	if err != nil {
		return fmt.Errorf("write sample: %w", err)
	}
	pw.PageSize = pageSize
	pw.RowGroupSize = rowGroupSize
	pw.CompressionType = parquet.CompressionCodec_ZSTD
	if err := fill(pw.Write); err != nil {
		return fmt.Errorf("write sample: %w", err)
	}
	if err := pw.WriteStop(); err != nil {
		return fmt.Errorf("write sample: %w", err)
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write sample: %w", err)
	}
	return nil
}
