package extract

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Version names the content of the source's files by their paths, sizes and
// modification times, in buckets by their versions too: while it stays the same there is nothing new to read.
func (p *Parquet) Version() string {
	d := xxhash.New()
	for _, files := range [...][]*parquetFile{p.messages, p.others, p.agents, p.lookups} {
		for _, f := range files {
			fmt.Fprintf(d, "%q %d %d\n", f.name, f.size, f.modTime.UnixNano())
			if f.object != nil {
				fmt.Fprintf(d, "%q %q\n", f.object.bucket.root(), f.object.version)
			}
		}
		fmt.Fprintln(d)
	}
	return fmt.Sprintf("%016x", d.Sum64())
}
