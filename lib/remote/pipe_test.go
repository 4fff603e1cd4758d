package remote

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// timeless runs a test in a time that passes while everything waits, however
// slow the machine is. Its servers are reached through pipes in memory, since
// waiting for the network stops that time.
func timeless(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// piped is a listener in memory.
type piped struct {
	addr   pipeAddr
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// pipeAddr is an address that leads nowhere else, and to no proxy.
type pipeAddr string

func (pipeAddr) Network() string  { return "tcp" }
func (a pipeAddr) String() string { return string(a) }

var pipes atomic.Int64

func listen() *piped {
	addr := "127.0.0.1:" + strconv.FormatInt(pipes.Add(1), 10)
	return &piped{addr: pipeAddr(addr), dialed: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *piped) Addr() net.Addr { return l.addr }

func (l *piped) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *piped) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialed:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *piped) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.dialed <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// throughPipes makes p reach servers that listen there.
func throughPipes(t testing.TB, p *Pool, servers ...*scripted) {
	byAddr := map[string]*piped{}
	for _, s := range servers {
		if l, ok := s.Listener.(*piped); ok {
			byAddr[l.addr.String()] = l
		}
	}
	transport := p.client.Transport.(*http.Transport)
	onward := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if l := byAddr[addr]; l != nil {
			return l.dial(ctx)
		}
		return onward(ctx, network, addr)
	}
	t.Cleanup(transport.CloseIdleConnections)
}
