// Package migrations holds the schema of the state store, a folder of goose
// migrations for each database that can hold it. The folders have the same
// versions, and the tables the same names and columns.
package migrations

import "embed"

// FS holds the folders postgres and sqlite. Those of postgres run with the
// schema chatbackfill as the search path, and always in a transaction.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
