package rabbitmq

import (
	"context"
	"errors"
	"net"
	"sync"
)

// lane is a listener in memory, at which our own AMQP gateway serves the connections of this one.
type lane struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newLane() *lane { return &lane{conns: make(chan net.Conn), over: make(chan struct{})} }

func (l *lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *lane) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *lane) Addr() net.Addr { return inMemory{} }

var errLane = errors.New("rabbitmq: the node is stopping")

// dial connects. from is who is behind it: what the gateway takes for the peer's address.
func (l *lane) dial(ctx context.Context, from net.Addr) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- laneConn{theirs, from}:
		return ours, nil
	case <-l.over:
		return nil, errLane
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type laneConn struct {
	net.Conn
	from net.Addr
}

func (c laneConn) RemoteAddr() net.Addr { return c.from }

type inMemory struct{}

func (inMemory) Network() string { return "memory" }
func (inMemory) String() string  { return "memory" }
