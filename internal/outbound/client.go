package outbound

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leat/internal/clock"
)

// Client holds what the endpoints of a node share: the rules about addresses and the limit of open connections. It is safe for many
// goroutines.
type Client struct {
	config Config
	rules  rules
	room   chan struct{} // one for each open connection, ConnsMax at most

	mu        sync.Mutex
	closed    bool
	endpoints map[*Endpoint]struct{}

	sweeping                             atomic.Bool
	dials, dialFailures, blocked, noRoom atomic.Int64
}

// ErrClosed is the error of what a closed client or endpoint is asked to do; ErrPaused that of a ticket whose endpoint was paused or opened
// since.
var (
	ErrClosed = errors.New("outbound: closed")
	ErrPaused = errors.New("outbound: the endpoint is not sent to at present")
)

// sweepEvery is how often idle connections are closed for the sake of new ones that wait.
const sweepEvery = 50 * time.Millisecond

// errNoRoom is the error of a connection that Config.ConnsMax did not allow in time.
var errNoRoom = errors.New("outbound: as many connections are open as outbound.conns_max allows")

// New makes a client. It does no I/O.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rs, err := parseRules(cfg.Allow)
	if err != nil {
		return nil, err
	}
	return &Client{config: cfg, rules: rs, room: make(chan struct{}, cfg.ConnsMax), endpoints: map[*Endpoint]struct{}{}}, nil
}

// Close closes every endpoint.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for _, e := range c.all() {
		e.Close()
	}
}

func (c *Client) all() []*Endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.endpoints))
}

// dial opens a connection to address. The check stands where the address is one: in the last step before connecting, for each address the name
// led to, at each connection anew. What a name meant when somebody looked at it earlier is worth nothing.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.ConnectTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := c.takeRoom(ctx); err != nil {
		c.noRoom.Add(1)
		return nil, err
	}
	d := net.Dialer{
		Resolver:        c.config.Resolver,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3},
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return c.rules.check(host, to)
		},
	}
	c.dials.Add(1)
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		c.giveRoom()
		c.dialFailures.Add(1)
		if _, isBlocked := errors.AsType[*BlockedError](err); isBlocked {
			c.blocked.Add(1)
		}
		return nil, err
	}
	return &conn{Conn: nc, client: c, timeout: c.config.WriteTimeout}, nil
}

// takeRoom waits for one of ConnsMax. When all are taken, connections that nobody uses make room.
func (c *Client) takeRoom(ctx context.Context) error {
	select {
	case c.room <- struct{}{}:
		return nil
	default:
	}
	ticker := clock.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		// One sweeps for all who wait, and not again at once: connections come free while they wait, too.
		if c.sweeping.CompareAndSwap(false, true) {
			for _, e := range c.all() {
				e.transport.CloseIdleConnections()
			}
			clock.AfterFunc(sweepEvery/2, func() { c.sweeping.Store(false) })
		}
		select {
		case c.room <- struct{}{}:
			return nil
		case <-ticker.C:
		case <-ctx.Done():
			return errNoRoom
		}
	}
}

func (c *Client) giveRoom() { <-c.room }

// conn counts as open until it is closed, and writes under a deadline: a peer that does not read holds a connection no longer.
type conn struct {
	net.Conn
	client  *Client
	timeout time.Duration
	closed  atomic.Bool
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.client.giveRoom()
	}
	return err
}

// Check looks up where a URL leads, and connects to nothing: a *BlockedError when every address that its host has may not be reached, another
// error when it has none. What it leads to later is checked when it is connected to; this is for telling a user early.
func (c *Client) Check(ctx context.Context, rawURL string) error {
	u, _, err := c.target(EndpointConfig{URL: rawURL}) // which checks an address that stands in the URL itself
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil
	}
	resolver := c.config.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return err
	}
	for _, a := range found {
		if err = c.rules.check(u.Hostname(), netip.AddrPortFrom(a, portOf(u))); err == nil {
			return nil
		}
	}
	return err
}
