package gateway

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/clock"
)

// link is a connection as the harness sees it, below TLS: a slot in the limits, a line in the numbers, and what a drain wakes.
type link struct {
	net.Conn
	l  *Listener
	id uint64
	ip ipKey

	ahead []byte // was read before net/http got the connection, and is what it reads first
	conn  *Conn  // of the connections that have a first lane: requests are counted on

	stuck atomic.Bool // a write has failed: the peer does not take what we say
	once  sync.Once
	ended context.CancelFunc // set before the connection is served

	mu       sync.Mutex
	idle     bool // waits for the next request
	silent   bool // an HTTP connection that has sent nothing yet
	draining bool
}

// ipKey is what the limit per address counts: an IPv4 address, or the /64 of an IPv6 one, which is what one subscriber gets.
type ipKey netip.Prefix

func ipKeyOf(addr net.Addr) ipKey {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return ipKey{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ipKey{}
	}
	return ipKey(p)
}

// admit gives conn its slot, or says which limit it met.
func (l *Listener) admit(conn net.Conn) (c *link, limit string) {
	c = &link{Conn: conn, l: l, ip: ipKeyOf(conn.RemoteAddr()), ended: func() {}}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return nil, "draining"
	case len(l.conns) >= l.opts.Limits.ConnectionsMax:
		return nil, "total"
	case l.perIP[c.ip] >= l.opts.Limits.ConnectionsPerIPMax:
		return nil, "ip"
	}
	c.id = l.ids.Add(1)
	l.conns[c] = struct{}{}
	l.perIP[c.ip]++
	l.count.opened.Inc()
	l.count.open.Inc()
	return c, ""
}

// leave gives the slot back.
func (l *Listener) leave(c *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.perIP[c.ip]--; l.perIP[c.ip] == 0 {
		delete(l.perIP, c.ip)
	}
	l.count.open.Dec()
	if l.stopped && len(l.conns) == 0 {
		close(l.empty)
	}
}

func (c *link) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 { // it was counted when it came
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	n, err := c.Conn.Read(p)
	c.l.count.in.Add(float64(n))
	return n, err
}

func (c *link) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wrote(int64(n), err)
	return n, err
}

func (c *link) wrote(n int64, err error) {
	c.l.count.out.Add(float64(n))
	if err != nil {
		c.stuck.Store(true)
	}
}

// Close gives the slot back, at the first call. A peer that does not read gets a reset: otherwise the kernel would keep what it did
// not take, and try for minutes.
func (c *link) Close() error {
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok && c.stuck.Load() {
		_ = tcp.SetLinger(0)
	}
	err := c.Conn.Close()
	c.once.Do(func() { c.l.leave(c) })
	return err
}

// sever ends the connection from outside: what it runs hears of it through its context, and its reads and writes fail.
func (c *link) sever() {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	ended()
	_ = c.Conn.Close() // the slot is given back by whoever serves it
}

// onSever names what sever calls.
func (c *link) onSever(f context.CancelFunc) {
	c.mu.Lock()
	c.ended = f
	c.mu.Unlock()
}

// A drain must end a wait for the next request and must not disturb a request that has begun. Both sides hold mu:
//
//	connection: await   idle = true, deadline = now + IdleTimeout    or, when draining already: ErrDraining
//	drain:      wake    draining = true; if idle: deadline = now     the read returns at once, await sees draining
//	connection: begun   idle = false, deadline = now + ReadTimeout   a wake after this changes no deadline
//
// A byte that arrives together with the wake may be read or not; where it is not, the request was never begun.
func (c *link) await(set func(time.Time) error, timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return ErrDraining
	}
	c.idle = true
	return set(clock.Now().Add(timeout))
}

func (c *link) begun(set func(time.Time) error, timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
	return set(clock.Now().Add(timeout))
}

func (c *link) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// past is a deadline that has been.
var past = time.Unix(1, 0)

func (c *link) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.idle {
		_ = c.Conn.SetReadDeadline(past) // fails only on a closed connection, which needs no waking
	}
	if c.silent {
		_ = c.Conn.Close()
	}
}

// setSilent is for HTTP, where net/http waits between requests and ends that wait itself, but gives a connection that never sent
// anything five seconds: longer than a drain should take for nothing.
func (c *link) setSilent(silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = silent
	if silent && c.draining {
		_ = c.Conn.Close()
	}
}
