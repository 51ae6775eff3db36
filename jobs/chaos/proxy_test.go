package chaos

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between the program and a database or Segment, and breaks
// connections.
type proxy struct {
	net.Listener
	to atomic.Value // string; where further connections lead

	limit   atomic.Int64 // bytes of answers after which a connection is cut; each has more than the one before
	commits atomic.Int64 // of so many further commits the answer does not arrive
	delay   atomic.Int64 // nanoseconds that each piece takes, in either direction
	odds    atomic.Int64 // of so many pieces one cuts its connection; 0: none does
	made    atomic.Int64 // connections
	silent  atomic.Int64 // on the first so many connections nothing passes, and nobody closes them
	cuts    atomic.Int64 // connections that were broken, pieces that did not pass
	wg      sync.WaitGroup

	mu    sync.Mutex
	wires []*wire
}

// through starts a proxy before the host of a URL, and returns the URL that leads
// through it.
func through(t *testing.T, to string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.to.Store(u.Host)
	p.limit.Store(1 << 40)
	p.wg.Go(p.accept)
	t.Cleanup(func() { l.Close(); p.closeAll(); p.wg.Wait() })
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to.Load().(string))
		if err != nil {
			client.Close()
			continue
		}
		limit := p.limit.Load()
		p.limit.Store(limit + limit/3)
		w := &wire{proxy: p, number: p.made.Add(1), client: client, server: server, left: limit}
		p.mu.Lock()
		p.wires = append(p.wires, w)
		p.mu.Unlock()
		p.wg.Go(w.requests)
		p.wg.Go(w.answers)
	}
}

// fallSilent lets nothing pass any more on the connections there are.
func (p *proxy) fallSilent() { p.silent.Store(p.made.Load()) }

// closeAll closes all connections.
func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wires {
		w.client.Close()
		w.server.Close()
	}
}

// wire is a connection through the proxy.
type wire struct {
	*proxy
	number         int64
	client, server net.Conn
	left           int64 // bytes of answers before it is cut
}

// passes reports whether a piece goes on to the other side, after its time.
func (w *wire) passes() bool {
	time.Sleep(time.Duration(w.delay.Load()))
	if odds := w.odds.Load(); odds > 0 && rand.Int64N(odds) == 0 {
		w.cut()
	}
	if w.number > w.silent.Load() {
		return true
	}
	w.cuts.Add(1)
	return false
}

func (w *wire) cut() {
	w.cuts.Add(1)
	w.client.Close()
	w.server.Close()
}

// requests passes on what the program says. After a commit whose answer is not
// to arrive, the program's side is cut off: the database has committed.
func (w *wire) requests() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.client.Read(buffer)
		if n > 0 && w.passes() {
			if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit\x00")) && w.commits.Add(-1) >= 0 {
				w.cuts.Add(1)
				w.client.Close()
			}
			if _, err := w.server.Write(buffer[:n]); err != nil {
				w.server.Close()
				return
			}
		}
		if err == nil {
			continue
		}
		if w.number > w.silent.Load() { // else the server is told nothing
			// It is not cut off in the middle of what it was told.
			if half, ok := w.server.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
		}
		return
	}
}

// answers passes on what the server says.
func (w *wire) answers() {
	defer w.client.Close()
	defer w.server.Close()
	buffer := make([]byte, 64<<10)
	for w.left > 0 {
		n, err := w.server.Read(buffer[:min(w.left, int64(len(buffer)))])
		if n > 0 && w.passes() {
			w.left -= int64(n)
			if _, err := w.client.Write(buffer[:n]); err != nil {
				_, _ = io.Copy(io.Discard, w.server)
				return
			}
		}
		if err != nil {
			return
		}
	}
	w.cuts.Add(1)
}
