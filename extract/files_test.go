package extract

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolveFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a [job]") // brackets in the folder are not the pattern's
	for _, name := range []string{
		"x/b.parquet", "x/a.parquet", "x/y/c.PARQUET", "x/notes.txt", "x/_SUCCESS", "x/_tmp/d.parquet",
		"x/.e.parquet", "x/d[1].parquet", "z/part-0", "empty/readme.md", "q/day=1/p.parquet",
	} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join("x", "y"), filepath.Join(dir, "latest")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		patterns []string
		want     string
		err      string
	}{
		{"OK file", []string{"x/b.parquet"}, "x/b.parquet", ""},
		{"OK any name", []string{"z/part-0"}, "z/part-0", ""},
		{"OK folder", []string{"x"}, "x/a.parquet x/b.parquet x/d[1].parquet x/y/c.PARQUET", ""},
		{"OK absolute", []string{filepath.Join(dir, "x", "a.parquet")}, "x/a.parquet", ""},
		{"OK glob", []string{"x/*.parquet"}, "x/a.parquet x/b.parquet x/d[1].parquet", ""},
		{"OK double star", []string{"**/*.parquet"}, "q/day=1/p.parquet x/a.parquet x/b.parquet x/d[1].parquet", ""},
		{"OK glob of folders", []string{"q/day=*"}, "q/day=1/p.parquet", ""},
		{"OK name like a glob", []string{"x/d[1].parquet"}, "x/d[1].parquet", ""},
		{"OK hidden when asked for", []string{"x/_tmp/*.parquet"}, "x/_tmp/d.parquet", ""},
		{"OK name like a glob in a glob", []string{`x/d\[1\].p*`}, "x/d[1].parquet", ""},
		{"OK link to a folder", []string{"latest"}, "latest/c.PARQUET", ""},
		{"OK glob of links", []string{"la*"}, "latest/c.PARQUET", ""},
		{"OK each once", []string{"x/b.parquet", "x/{a,b}.parquet", "./x/../x/a.parquet"}, "x/a.parquet x/b.parquet", ""},
		{"OK parent", []string{"../a [job]/z/part-0"}, "z/part-0", ""},
		{"Err missing", []string{"x/none.parquet"}, "", "read x/none.parquet: there is no such file or folder"},
		{"Err empty glob", []string{"x/*.csv"}, "", "read x/*.csv: no file matches"},
		{"Err empty folder", []string{"empty"}, "", "read empty: the folder holds no *.parquet files"},
		{"Err bad glob", []string{"x/[a"}, "", "read x/[a: syntax error in pattern"},
		{"Err address", []string{"ftp://b/x"}, "", "read ftp://b/x: there are no addresses of this kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, errs := resolveFiles(context.Background(), dir, c.patterns, newBuckets(0, retryPolicy{}, nil))
			var names []string
			for _, f := range files {
				names = append(names, f.name)
			}
			got := ""
			if err := errors.Join(errs...); err != nil {
				got = err.Error()
			}
			if got != c.err {
				t.Errorf("got error %q, want %q", got, c.err)
			}
			if d := cmp.Diff(c.want, strings.Join(names, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}
