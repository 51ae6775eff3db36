package chaos

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between the program and a database, and breaks connections.
type proxy struct {
	net.Listener
	to string

	limit   atomic.Int64 // bytes of answers after which a connection is cut; each has more than the one before
	commits atomic.Int64 // of so many further commits the answer does not arrive
	cuts    atomic.Int64
	wg      sync.WaitGroup
}

// through starts a proxy before the database of a DSN, and returns the DSN that
// leads through it.
func through(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: u.Host}
	p.limit.Store(1 << 40)
	p.wg.Go(p.accept)
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.wg.Go(func() { p.requests(server, client) })
		p.wg.Go(func() { p.answers(client, server) })
	}
}

// requests passes on what the program says. After a commit whose answer is not
// to arrive, the program's side is cut off: the database has committed.
func (p *proxy) requests(server, client net.Conn) {
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 {
			if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit\x00")) && p.commits.Add(-1) >= 0 {
				p.cuts.Add(1)
				client.Close()
			}
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			// The server is not cut off in the middle of what it was told.
			if half, ok := server.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}

func (p *proxy) answers(client, server net.Conn) {
	defer client.Close()
	limit := p.limit.Load()
	p.limit.Store(limit + limit/3)
	if n, err := io.CopyN(client, server, limit); n == limit && err == nil {
		p.cuts.Add(1)
		server.Close()
	}
}
