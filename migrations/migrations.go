// Package migrations holds the schema of the state store, a folder of goose
// migrations for each database that can hold it.
package migrations

import "embed"

// FS holds the folder sqlite.
//
//go:embed sqlite/*.sql
var FS embed.FS
