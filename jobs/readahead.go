package jobs

import (
	"context"
	"io"

	"github.com/chatbackfill/chatbackfill/extract"
)

type pageRead struct {
	extract.Page
	err error
}

// readAhead reads one page ahead of whoever receives them. The channel is
// closed after the last page, after an error, and when ctx ends.
func readAhead(ctx context.Context, pages Pages) <-chan pageRead {
	ahead := make(chan pageRead)
	go func() {
		defer close(ahead)
		for {
			page, err := contained(func() (extract.Page, error) { return pages.Next(ctx) })
			if err == io.EOF {
				return
			}
			select {
			case ahead <- pageRead{page, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return ahead
}
