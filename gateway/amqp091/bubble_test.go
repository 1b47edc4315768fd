package amqp091

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"leat/broker"
	"leat/gateway"
)

// What is about times runs in a bubble, where a sleep is over as soon as all have done what they had to do: however slow the machine, 400 ms are
// 400 ms, and what has not come while nobody did anything will not come. A bubble has no sockets: connections are pipes.

// pipes is a listener whose connections are pipes.
type pipes struct {
	accepts chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepts:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5672} }

func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.accepts <- theirs
	return ours, nil
}

// bubble runs a test whose time is its own, with a gateway that dial leads to.
func bubble(t *testing.T, set func(*broker.Options), f func(t *testing.T, dial func() (net.Conn, error))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := New(newBrokerWith(t, set), Default())
		inner := &pipes{accepts: make(chan net.Conn), closed: make(chan struct{})}
		l := gateway.Wrap(inner, gateway.Options{
			Name: "amqp091", Protocol: "amqp091", Known: g.Descriptor().Operations, Limits: gateway.Default(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- g.Serve(ctx, l) }()
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		f(t, inner.dial)
	})
}
