package amqp091

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// conn is one connection. Its reader takes frames and does what they ask for, one after the other; each consumer has a goroutine that
// writes deliveries. Both write under mu, which also guards what deliveries and acknowledgements share.
//
//	reader    frame → session.Conn → publish, ack: gathered as long as more is there to be read, then appended and settled together
//	                                 all else: what was gathered first, then the call and its answer
//	consumer  member → mu: tag, content, write
//
// What is gathered is bounded by gatherMax and by the memory that was reserved for it.
type conn struct {
	g   *Gateway
	c   *gateway.Conn
	br  *bufio.Reader
	ops map[wire.ID]*gateway.Operation
	s   *session.Conn // of the reader

	caller   *broker.Caller // of the reader, and constant once it is running
	payload  []byte         // of the frame being read
	releases []func()       // memory of frames that are still in use
	gathered gathered
	own      []string // exclusive queues

	mu       sync.Mutex
	w        wire.Writer
	out      []byte
	channels map[uint16]*channel
	wrote    bool // since the last heartbeat was due
}

const (
	readBufferBytes = 8 << 10
	bufferBytesKept = 64 << 10
)

func newConn(g *Gateway, c *gateway.Conn, ops map[wire.ID]*gateway.Operation) *conn {
	offer := wire.Limits{ChannelMax: uint16(g.cfg.ChannelsMax), FrameMax: uint32(g.cfg.FrameBytesMax), Heartbeat: uint16(g.cfg.Heartbeat / time.Second)}
	address := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return &conn{
		g: g, c: c, ops: ops, br: bufio.NewReaderSize(c, readBufferBytes), channels: map[uint16]*channel{},
		caller: &broker.Caller{Listener: c.Listener().Name(), Protocol: "amqp091", Address: address},
		s: session.New(session.Config{
			Offer: offer, Properties: serverProperties(g.b.ClusterID()), Mechanisms: session.MechanismPlain + " " + session.MechanismAMQPlain,
			ContentBytesMax: uint64(g.cfg.MessageBytesMax), HeldBytesMax: g.cfg.HeldBytesMax,
		}),
	}
}

// notOffered are capabilities of the session that this gateway has no methods for.
var notOffered = []string{"exchange_exchange_bindings", "consumer_priorities", "direct_reply_to", "connection.blocked"}

func serverProperties(node string) wire.Table {
	t := session.ServerProperties(node, "1")
	v, _ := t.Get("capabilities")
	able, _ := v.Table()
	out, err := t.Without("capabilities").Add("capabilities", wire.TableValue(able.Without(notOffered...)))
	if err != nil {
		return t
	}
	return out
}

// serve runs until the peer has left or broken the protocol, or the listener drains. What its channels held goes back to their queues.
func (k *conn) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var beats sync.WaitGroup
	defer func() {
		cancel()
		beats.Wait()
		k.end(context.WithoutCancel(ctx))
	}()
	err := k.read(ctx, func(interval time.Duration) { beats.Go(func() { k.beat(ctx, interval) }) })
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, gateway.ErrIdle):
	case errors.Is(err, gateway.ErrDraining):
		k.mu.Lock()
		if k.s.Channels() > 0 || k.s.Limits().FrameMax > 0 {
			_, _ = k.s.Fail(&k.w, 0, &wire.Error{Code: wire.ConnectionForced, Text: "the node is stopping"})
			_ = k.flush()
		}
		k.mu.Unlock()
	default:
		k.c.Log().Info("connection ends", "client", k.caller.Client, "error", err)
	}
}

// end gives back what the connection held.
func (k *conn) end(ctx context.Context) {
	for n := range k.channels {
		k.endChannel(ctx, n)
	}
	for _, name := range k.own {
		k.g.dropOwned(ctx, k, name)
	}
	k.freeFrames()
}

func (k *conn) read(ctx context.Context, running func(time.Duration)) error {
	if err := k.greet(); err != nil {
		return err
	}
	beating := false
	for !k.s.Ended() {
		f, err := k.readFrame(ctx)
		var refused *wire.Error
		if errors.As(err, &refused) {
			return k.broken(ctx, 0, refused)
		}
		if err != nil {
			return err
		}
		step, err := k.s.Frame(f)
		if err == nil {
			err = k.step(ctx, step)
		}
		if errors.As(err, &refused) {
			if err := k.broken(ctx, f.Channel, refused); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if n := k.s.Limits().Heartbeat; n > 0 && !beating {
			beating = true
			running(time.Duration(n) * time.Second)
		}
		if k.br.Buffered() == 0 || k.gathered.full() {
			if err := k.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// greet reads the protocol header. Whoever speaks something else is told what is spoken here.
func (k *conn) greet() error {
	if err := k.c.Await(k.br); err != nil {
		return err
	}
	var head [wire.ProtocolBytes]byte
	for n := range head {
		if err := k.c.ReadFull(k.br, head[n:n+1]); err != nil {
			return err
		}
		p, done := wire.DecodeProtocol(head[:n+1])
		if !done {
			continue
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if p != wire.AMQP091 {
			k.w.Protocol()
			_ = k.flush()
			return fmt.Errorf("the peer speaks another protocol (%d)", p)
		}
		if err := k.s.Start(&k.w); err != nil {
			return err
		}
		return k.flush()
	}
	return nil
}

// readFrame reads the next frame into memory that was reserved for it.
func (k *conn) readFrame(ctx context.Context) (wire.Frame, error) {
	if err := k.c.Await(k.br); err != nil {
		return wire.Frame{}, err
	}
	var head [wire.FrameHeaderBytes]byte
	if err := k.c.ReadFull(k.br, head[:]); err != nil {
		return wire.Frame{}, err
	}
	h, err := wire.DecodeFrameHead(head[:], k.s.FrameMax())
	if err != nil {
		return wire.Frame{}, err
	}
	if err := k.reserve(ctx, h.PayloadBytes); err != nil {
		return wire.Frame{}, err
	}
	n := h.PayloadBytes + 1
	if cap(k.payload) < n || cap(k.payload) > bufferBytesKept && n <= bufferBytesKept {
		k.payload = make([]byte, n)
	}
	p := k.payload[:n]
	if err := k.c.ReadFull(k.br, p); err != nil {
		return wire.Frame{}, err
	}
	if err := wire.CheckFrameEnd(p[n-1]); err != nil {
		return wire.Frame{}, err
	}
	return wire.Frame{Type: h.Type, Channel: h.Channel, Payload: p[:n-1]}, nil
}

// Waiting for memory, during which the peer feels only that nothing is read.
const (
	reserveTriesMax = 12
	reservePauseMin = 10 * time.Millisecond
	reservePauseMax = time.Second
)

func (k *conn) reserve(ctx context.Context, n int) (err error) {
	if n == 0 {
		return nil
	}
	var release func()
	for range reserveTriesMax {
		if release, err = k.g.b.Reserve(ctx, k.caller, n); err == nil {
			k.releases = append(k.releases, release)
			return nil
		}
		f := fault.As(err)
		if f.Retry != fault.Later {
			return err
		}
		if err := clock.Sleep(ctx, min(max(time.Duration(f.AfterMS)*time.Millisecond, reservePauseMin), reservePauseMax)); err != nil {
			return err
		}
	}
	return err
}

func (k *conn) freeFrames() {
	for i, release := range k.releases {
		release()
		k.releases[i] = nil
	}
	k.releases = k.releases[:0]
}

// broken answers what was refused. The connection goes on unless it cannot; an error ends it.
func (k *conn) broken(ctx context.Context, channel uint16, e *wire.Error) error {
	if err := k.settle(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	silent, err := k.s.Fail(&k.w, channel, e)
	if err == nil {
		err = k.flush()
	}
	k.mu.Unlock()
	switch {
	case err != nil:
		return err
	case silent:
		return e
	case channel == 0 || e.Code.Hard():
		for n := range k.channels {
			k.endChannel(ctx, n)
		}
		if e.Code == wire.FrameError { // nothing behind it can be understood
			return e
		}
		return nil
	}
	k.endChannel(ctx, channel)
	return nil
}

// flush writes what has been gathered in w. mu is held.
func (k *conn) flush() error {
	if k.w.Len() == 0 {
		return nil
	}
	k.out = k.w.AppendTo(k.out[:0])
	k.w.Reset()
	k.wrote = true
	_, err := k.c.Write(k.out)
	if cap(k.out) > bufferBytesKept {
		k.out = nil
	}
	return err
}

// answer writes a method.
func (k *conn) answer(channel uint16, m wire.Method) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.w.Method(channel, m); err != nil {
		return err
	}
	return k.flush()
}

// beat sends heartbeats into silence, and ends a connection whose peer has fallen silent.
func (k *conn) beat(ctx context.Context, interval time.Duration) {
	for clock.Sleep(ctx, interval/2) == nil {
		k.mu.Lock()
		if !k.wrote {
			k.w.Heartbeat()
			if k.flush() != nil {
				_ = k.c.Close()
			}
		}
		k.wrote = false
		k.mu.Unlock()
	}
}
