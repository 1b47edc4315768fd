package amqp091

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091/wire"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

var testUser = broker.User{
	Name: "alice", Password: "wonderland",
	Grants: []broker.Grant{
		{Action: broker.ActionAdmin, Kind: broker.KindNode, Pattern: "*"},
		{Action: broker.ActionAdmin, Kind: broker.KindUser, Pattern: "*"},
		{Action: broker.ActionAdmin, Kind: broker.KindStream, Pattern: "*"},
		{Action: broker.ActionAdmin, Kind: broker.KindSubscription, Pattern: "*"},
	},
}

func newBroker(t testing.TB, users ...broker.User) *broker.Broker {
	return newBrokerWith(t, func(*broker.Options) {}, users...)
}

func newBrokerWith(t testing.TB, set func(*broker.Options), users ...broker.User) *broker.Broker {
	t.Helper()
	opt := broker.Options{Config: broker.Default(), Lineage: 1, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	opt.Shards = gatewaytest.MemoryShards(t, 1)
	set(&opt)
	b, err := broker.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	admin := &broker.Caller{}
	if _, _, err := b.NewProducer(t.Context(), admin); err != nil { // when it has answered, its goroutines run: the suite looks for others
		t.Fatal(err)
	}
	for _, u := range users {
		if _, err := b.PutUser(t.Context(), admin, u); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// client is the other side, made of the same codec.
type client struct {
	c   net.Conn
	br  *bufio.Reader
	w   wire.Writer
	dec wire.Decoder

	seen uint64 // confirmations
}

func (c *client) send(channel uint16, m wire.Method) error {
	if err := c.w.Method(channel, m); err != nil {
		return err
	}
	return c.flush()
}

func (c *client) flush() error {
	_, err := c.c.Write(c.w.AppendTo(nil))
	c.w.Reset()
	return err
}

func (c *client) frame() (wire.Frame, error) {
	head := make([]byte, wire.FrameHeaderBytes)
	if _, err := io.ReadFull(c.br, head); err != nil {
		return wire.Frame{}, err
	}
	h, err := wire.DecodeFrameHead(head, 1<<20)
	if err != nil {
		return wire.Frame{}, err
	}
	p := make([]byte, h.PayloadBytes+1)
	if _, err := io.ReadFull(c.br, p); err != nil {
		return wire.Frame{}, err
	}
	if h.Type == wire.FrameHeartbeat {
		return c.frame()
	}
	return wire.Frame{Type: h.Type, Channel: h.Channel, Payload: p[:len(p)-1]}, nil
}

func (c *client) method() (wire.Method, error) {
	f, err := c.frame()
	if err != nil {
		return nil, err
	}
	if f.Type != wire.FrameMethod {
		return nil, fmt.Errorf("frame of type %d", f.Type)
	}
	return c.dec.DecodeMethod(f.Payload)
}

func expect[M wire.Method](c *client) (M, error) {
	var none M
	m, err := c.method()
	if err != nil {
		return none, err
	}
	got, is := m.(M)
	if !is {
		return none, fmt.Errorf("got %s, want %T", wire.Text(m), none)
	}
	return got, nil
}

// start logs in and opens channel 1, with heartbeats as they are offered.
func start(conn net.Conn, user, password string) (*client, error) {
	return startBeating(conn, user, password, 60)
}

// startIn is start in a virtual host. refused is what it is answered where that may not be opened.
func startIn(conn net.Conn, user, password, host string) (c *client, refused wire.Method, err error) {
	if c, err = tuned(conn, user, password, func(*wire.Limits) {}); err != nil {
		return nil, nil, err
	}
	if err := c.send(0, &wire.ConnectionOpen{VirtualHost: []byte(host)}); err != nil {
		return nil, nil, err
	}
	m, err := c.method()
	if _, is := m.(*wire.ConnectionOpenOK); err != nil || !is {
		return nil, m, err
	}
	if err := c.send(1, &wire.ChannelOpen{}); err != nil {
		return nil, nil, err
	}
	_, err = expect[*wire.ChannelOpenOK](c)
	return c, nil, err
}

func startBeating(conn net.Conn, user, password string, heartbeat uint16) (*client, error) {
	return startWith(conn, user, password, func(l *wire.Limits) { l.Heartbeat = heartbeat })
}

func startWith(conn net.Conn, user, password string, set func(*wire.Limits)) (*client, error) {
	c, err := tuned(conn, user, password, set)
	if err != nil {
		return nil, err
	}
	if err := c.send(0, &wire.ConnectionOpen{VirtualHost: []byte("/")}); err != nil {
		return nil, err
	}
	if _, err := expect[*wire.ConnectionOpenOK](c); err != nil {
		return nil, err
	}
	if err := c.send(1, &wire.ChannelOpen{}); err != nil {
		return nil, err
	}
	_, err = expect[*wire.ChannelOpenOK](c)
	return c, err
}

// tuned logs in and agrees on limits.
func tuned(conn net.Conn, user, password string, set func(*wire.Limits)) (*client, error) {
	c := &client{c: conn, br: bufio.NewReader(conn)}
	if _, err := io.WriteString(conn, wire.Header); err != nil {
		return nil, err
	}
	if _, err := expect[*wire.ConnectionStart](c); err != nil {
		return nil, err
	}
	var able, properties wire.Table
	able, _ = able.Add("authentication_failure_close", wire.Bool(true))
	able, _ = able.Add("consumer_cancel_notify", wire.Bool(true))
	able, _ = able.Add("connection.blocked", wire.Bool(true))
	properties, _ = properties.Add("capabilities", wire.TableValue(able))
	if err := c.send(0, &wire.ConnectionStartOK{ClientProperties: properties, Mechanism: []byte("PLAIN"), Response: []byte("\x00" + user + "\x00" + password), Locale: []byte("en_US")}); err != nil {
		return nil, err
	}
	m, err := c.method()
	if err != nil {
		return nil, err
	}
	if m, is := m.(*wire.ConnectionClose); is && m.ReplyCode == wire.AccessRefused {
		return nil, gatewaytest.ErrRefused
	}
	tune, is := m.(*wire.ConnectionTune)
	if !is {
		return nil, errors.New(wire.Text(m))
	}
	c.w.SetFrameMax(int(tune.FrameMax))
	limits := tune.Limits
	set(&limits)
	return c, c.send(0, &wire.ConnectionTuneOK{Limits: limits})
}

func call[M wire.Method](c *client, m wire.Method) (M, error) {
	if err := c.send(1, m); err != nil {
		var none M
		return none, err
	}
	return expect[M](c)
}

func TestSuite(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Kit{
		New: func(t *testing.T, users bool) gateway.Gateway {
			cfg := Default()
			cfg.LoginDelay = time.Millisecond
			if users {
				return New(newBroker(t, testUser), cfg)
			}
			return New(newBroker(t), cfg)
		},
		Hello: []byte(wire.Header),
		Exchange: func(c net.Conn) error { // heartbeats are what finds a silent peer out
			_, err := startBeating(c, "guest", "guest", 1)
			return err
		},
		Login: func(conn net.Conn, good bool) error {
			password := testUser.Password
			if !good {
				password = "looking-glass"
			}
			c, err := start(conn, testUser.Name, password)
			if err != nil {
				return err
			}
			_, err = call[*wire.QueueDeclareOK](c, &wire.QueueDeclare{Queue: []byte("mine"), Durable: true})
			return err
		},
		Oversize: [][]byte{[]byte(wire.Header + "\x01\x00\x00\x7f\xff\xff\xff"), []byte(wire.Header + "\x03\x00\x01\x00\x02\x00\x00")},
		Abilities: []gatewaytest.Ability{
			{Name: "immediate", Try: func(conn net.Conn) error {
				c, err := start(conn, "guest", "guest")
				if err != nil {
					return err
				}
				m, err := call[*wire.ConnectionClose](c, &wire.BasicPublish{Immediate: true})
				if err == nil && m.ReplyCode == wire.NotImplemented {
					return gatewaytest.ErrRefused
				}
				return err
			}},
			{Name: "transactions", Offered: true, Try: func(conn net.Conn) error {
				c, err := start(conn, "guest", "guest")
				if err == nil {
					_, err = call[*wire.TxSelectOK](c, &wire.TxSelect{})
				}
				return err
			}},
			{Name: "confirms", Offered: true, Try: func(conn net.Conn) error {
				c, err := start(conn, "guest", "guest")
				if err == nil {
					_, err = call[*wire.ConfirmSelectOK](c, &wire.ConfirmSelect{})
				}
				return err
			}},
		},
		IdleConns: 200,
	})
}

// serve runs a gateway and returns its address.
func serve(t testing.TB, b *broker.Broker) string { return serveTLS(t, b, nil) }

func serveTLS(t testing.TB, b *broker.Broker, secure *tls.Config) string {
	t.Helper()
	g := New(b, Default())
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gateway.Listen(ctx, gateway.Options{
		Name: "amqp091", Addr: "127.0.0.1:0", Protocol: "amqp091", Known: g.Descriptor().Operations, Limits: gateway.Default(), TLS: secure,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}
