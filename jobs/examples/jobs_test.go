package examples

import (
	"bytes"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/goccy/go-yaml"
)

// The jobs map every column that they name from one that is there.
func TestJobsNameColumns(t *testing.T) {
	type set struct {
		Files  []string
		Fields map[string]any
	}
	for _, name := range []string{"demo.yaml", "segment.yaml"} {
		var job struct {
			Source struct {
				Parquet map[string]set
			}
		}
		if err := yaml.Unmarshal(readFile(t, name), &job); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(job.Source.Parquet) != 3 {
			t.Fatalf("%s: %d sets, want 3", name, len(job.Source.Parquet))
		}
		for setName, s := range job.Source.Parquet {
			for _, f := range s.Files {
				have := columnsOf(t, f)
				for field, from := range s.Fields {
					column, ok := from.(string)
					if !ok {
						column, _ = from.(map[string]any)["column"].(string)
					}
					if !slices.Contains(have, column) {
						t.Errorf("%s: %s: %s is mapped from %q, which %s does not have", name, setName, field, column, f)
					}
				}
			}
		}
	}
}

func columnsOf(t *testing.T, name string) []string {
	t.Helper()
	pf, err := file.NewParquetReader(bytes.NewReader(readFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range pf.MetaData().Schema.NumColumns() {
		names = append(names, pf.MetaData().Schema.Column(i).Name())
	}
	return names
}
