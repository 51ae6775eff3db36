package jobs

import (
	"context"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Statements returns the SQL that a run reads its pages with, by what it reads;
// none if the source is no database. The database plans it, and reads nothing.
func Statements(ctx context.Context, e Execution) ([]extract.Statement, error) {
	if e.Spec.Source.Postgres == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	e.AllowSlow = true // what is slow is for check to say
	source, err := e.openSource(ctx)
	if err != nil {
		return nil, classify(err)
	}
	defer source.Close()
	everything := extract.Pass{Full: true, Upper: extract.TimeOf(time.Now())}
	all, err := source.(*postgresSource).Postgres.Pass(everything).Explain(ctx)
	return all, classify(err)
}
