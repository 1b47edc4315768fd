package amqp091

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// conn is one connection, and those who work for it. None waits for the disk but those whose work is that.
//
//	reader     frame → session.Conn → publish: into the batch of its stream; the batches of what one read brought are handed in together
//	                                  ack, nack: to the settler
//	                                  all else: when what came before it is done, the call and its answer
//	confirmer  batches, in the order in which they were handed in: wait until they are durable, confirm
//	settler    settles what has come meanwhile, in one call; it is there while there is something to settle
//	consumer   one for each: what its member is handed → tag, content
//
// All write through output.go. Confirmer and settler begin with the first work for them.
//
// Two locks, sm before mu. sm guards the session and the table of channels: the confirmer may end a channel. mu guards what is written, and
// of each channel its consumers and what is unacknowledged.
type conn struct {
	g   *Gateway
	c   *gateway.Conn
	in  *input
	ops map[wire.ID]*gateway.Operation

	sm       sync.Mutex
	s        *session.Conn
	channels map[uint16]*channel

	caller *broker.Caller // of the reader, and constant once it is running
	host   string         // the virtual host, as the client calls it
	login  string         // the name it logged in by, also where there are no users

	certified string // whom the client's certificate names
	pub       publisher
	acks      settler
	own       []string // exclusive queues
	closed    atomic.Bool
	said      wire.Table // what the client says of itself

	mechanism string // of the login

	mu           sync.Mutex
	room         sync.Cond // with mu: something was written
	w            wire.Writer
	spare        wire.Writer // what is being written
	writing      bool
	broke        error // what writing failed with
	pieces       [][]byte
	joined       []byte
	sent         atomic.Int64 // when something was written last
	bytesWritten atomic.Int64
	writes       atomic.Int64
	cancelNotify bool        // the client takes basic.cancel
	paused       atomic.Bool // nothing is read for now, and the peer was told
}

func newConn(g *Gateway, c *gateway.Conn, ops map[wire.ID]*gateway.Operation) *conn {
	offer := wire.Limits{ChannelMax: uint16(g.cfg.ChannelsMax), FrameMax: uint32(g.cfg.FrameBytesMax), Heartbeat: uint16(g.cfg.Heartbeat / time.Second)}
	address := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	mechanisms, certified := session.MechanismPlain+" "+session.MechanismAMQPlain, certifiedName(c)
	if certified != "" {
		mechanisms += " " + session.MechanismExternal
	}
	k := &conn{
		certified: certified,
		g:         g, c: c, ops: ops, in: newInput(c), channels: map[uint16]*channel{},
		caller: &broker.Caller{Listener: c.Listener().Name(), Protocol: "amqp091", Address: address},
		s: session.New(session.Config{
			Offer: offer, Properties: session.ServerProperties(g.b.ClusterID(), "1"), Mechanisms: mechanisms,
			ContentBytesMax: uint64(g.cfg.MessageBytesMax), HeldBytesMax: g.cfg.HeldBytesMax,
		}),
	}
	k.room.L, k.acks.idle.L = &k.mu, &k.acks.mu
	return k
}

// certifiedName is the common name of a client certificate that was verified.
func certifiedName(c *gateway.Conn) string {
	t := c.TLSState()
	if t == nil || len(t.VerifiedChains) == 0 || len(t.PeerCertificates) == 0 {
		return ""
	}
	return t.PeerCertificates[0].Subject.CommonName
}

// serve runs until the peer has left or broken the protocol, or the listener drains. What its channels held goes back to their queues.
func (k *conn) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var beats sync.WaitGroup
	defer func() {
		k.leave()
		k.end(context.WithoutCancel(ctx))
		k.written()
		cancel()
		beats.Wait()
	}()
	err := k.read(ctx, func(seconds uint16) { beats.Go(func() { k.beat(ctx, seconds) }) })
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, gateway.ErrIdle), k.closed.Load():
	case errors.Is(err, gateway.ErrDraining) && !k.paused.Load():
		if err := k.finish(ctx); err != nil {
			return
		}
		_ = k.write(func(w *wire.Writer) error { // the peer may be gone
			if k.s.Channels() == 0 && k.s.Limits().FrameMax == 0 {
				return nil
			}
			_, err := k.s.Fail(w, 0, &wire.Error{Code: wire.ConnectionForced, Text: "the node is stopping"})
			return err
		})
	default:
		k.c.Log().Info("connection ends", "client", k.caller.Client, "error", err)
	}
}

// end gives back what the connection held, when what it had begun is done.
func (k *conn) end(ctx context.Context) {
	k.pub.close()
	for _, n := range k.channelNumbers() {
		k.endChannel(ctx, n)
	}
	k.acks.wait()
	for _, name := range k.own {
		k.g.dropOwned(ctx, k, name)
	}
	k.own = nil
	k.pub.free()
}

func (k *conn) channelNumbers() []uint16 {
	k.sm.Lock()
	defer k.sm.Unlock()
	ns := make([]uint16, 0, len(k.channels))
	for n := range k.channels {
		ns = append(ns, n)
	}
	return ns
}

// read takes frames until the connection ends. An error has not been answered.
func (k *conn) read(ctx context.Context, running func(seconds uint16)) error {
	if err := k.greet(); err != nil {
		return err
	}
	frameMax, beating := k.s.FrameMax(), false
	for {
		f, whole, err := k.in.next(frameMax)
		if err == nil && !whole {
			if err := k.more(ctx); err != nil {
				return err
			}
			continue
		}
		var step session.Step
		var ch *channel
		if err == nil {
			k.sm.Lock()
			step, err = k.s.Frame(f)
			if step.Channel != 0 {
				ch = k.channels[step.Channel]
			}
			k.sm.Unlock()
		}
		if err == nil && step.Do != session.Nothing {
			err = k.step(ctx, step, ch)
		}
		if err != nil {
			var refused *wire.Error
			if !errors.As(err, &refused) {
				return err
			}
			if err := k.broken(ctx, f.Channel, refused); err != nil {
				return err
			}
		}
		if step.Do == session.Publish && err == nil {
			continue // nothing else can have changed
		}
		k.sm.Lock()
		ended, seconds := k.s.Ended(), k.s.Limits().Heartbeat
		frameMax = k.s.FrameMax()
		k.sm.Unlock()
		if ended {
			return nil
		}
		if seconds > 0 && !beating {
			beating = true
			running(seconds)
		}
	}
}

// more hands in what has come and reads on. A connection may be silent for as long as its heartbeats allow, without them for ever.
func (k *conn) more(ctx context.Context) error {
	if err := k.submit(ctx); err != nil {
		return err
	}
	k.sm.Lock()
	held, tuned := k.s.HeldBytes(), k.s.Limits().FrameMax > 0
	k.sm.Unlock()
	if err := k.hold(ctx, k.in.bytes()-inputBytesLeast+held); err != nil {
		return err
	}
	select {
	case <-k.c.Draining():
		return gateway.ErrDraining
	default:
	}
	for {
		err := k.in.fill()
		if !errors.Is(err, gateway.ErrIdle) || !tuned {
			return err
		}
	}
}

// greet reads the protocol header. Whoever speaks something else is told what is spoken here.
func (k *conn) greet() error {
	for n := range wire.ProtocolBytes {
		for k.in.left() <= n {
			if err := k.in.fill(); err != nil {
				return err
			}
		}
		p, done := wire.DecodeProtocol(k.in.p[k.in.from : k.in.from+n+1])
		if !done {
			continue
		}
		k.in.from += n + 1
		if p != wire.AMQP091 {
			err := k.write(func(w *wire.Writer) error { w.Protocol(); return nil })
			return errors.Join(fmt.Errorf("the peer speaks another protocol (%d)", p), err)
		}
		return k.write(k.s.Start)
	}
	return nil
}

// Waiting for memory, during which the peer feels only that nothing is read.
const (
	reservePauseMin = 10 * time.Millisecond
	reservePauseMax = time.Second
)

// reserve takes memory from the node's budget. A client that publishes is told when it has to wait.
func (k *conn) reserve(ctx context.Context, n int) (release func(), err error) {
	for {
		if release, err = k.g.b.Reserve(ctx, k.caller, n); err == nil {
			k.unblock()
			return release, nil
		}
		f := fault.As(err)
		if f.Retry != fault.Later || ctx.Err() != nil {
			return nil, err
		}
		if err := k.pause(ctx, "low on memory", min(max(time.Duration(f.AfterMS)*time.Millisecond, reservePauseMin), reservePauseMax)); err != nil {
			return nil, err
		}
	}
}

// pause waits, and says once that nothing is read meanwhile. A peer that has gone is found out by what cannot be written to it: heartbeats.
func (k *conn) pause(ctx context.Context, why string, d time.Duration) error {
	k.paused.Store(true)
	if err := k.write(func(w *wire.Writer) error { return k.s.Block(w, why) }); err != nil {
		return err
	}
	k.mu.Lock()
	broke := k.broke
	k.mu.Unlock()
	if broke != nil {
		return broke
	}
	select {
	case <-k.c.Draining():
		return gateway.ErrDraining
	default:
	}
	return clock.Sleep(ctx, d)
}

// unblock takes it back.
func (k *conn) unblock() {
	if k.paused.Load() {
		k.paused.Store(false)
		_ = k.write(k.s.Unblock) // a connection that is gone is found out by reading
	}
}

// broken answers what was refused, when what came before it is done. The connection goes on unless it cannot; an error ends it.
func (k *conn) broken(ctx context.Context, channel uint16, e *wire.Error) error {
	if err := k.finish(ctx); err != nil {
		return err
	}
	silent, err := k.fail(channel, e)
	switch {
	case err != nil:
		return err
	case silent:
		return e
	case channel == 0 || e.Code.Hard():
		for _, n := range k.channelNumbers() {
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

// fail writes the close of a channel or of the connection.
func (k *conn) fail(channel uint16, e *wire.Error) (silent bool, err error) {
	err = k.write(func(w *wire.Writer) (err error) {
		silent, err = k.s.Fail(w, channel, e)
		return err
	})
	return silent, err
}

// failChannel ends a channel for what its client did earlier. It may be called by any goroutine.
func (k *conn) failChannel(ctx context.Context, ch *channel, e *wire.Error) {
	k.sm.Lock()
	there := k.channels[ch.number] == ch
	k.sm.Unlock()
	if !there {
		return
	}
	_, _ = k.fail(ch.number, e) // a connection that is gone is found out by reading
	k.endChannel(ctx, ch.number)
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

// write has an answer of the session written.
func (k *conn) write(add func(*wire.Writer) error) error {
	k.sm.Lock()
	k.mu.Lock()
	defer k.mu.Unlock()
	err := add(&k.w)
	k.sm.Unlock()
	if err != nil {
		return err
	}
	return k.flush()
}

// beat sends heartbeats into silence, and cuts a connection whose peer has fallen silent.
func (k *conn) beat(ctx context.Context, seconds uint16) {
	now := clock.Now()
	h := session.NewHeartbeat(seconds, now)
	for {
		send, gone, next := h.Tick(now)
		if gone {
			k.c.Log().Info("connection ends: missed heartbeats from client", "client", k.caller.Client, "heartbeat", seconds)
			k.closed.Store(true)
			_ = k.c.Close()
			return
		}
		if send {
			k.rest()
			k.mu.Lock()
			k.w.Heartbeat()
			_ = k.flush() // a connection that is gone is found out by reading
			k.mu.Unlock()
		}
		pause := time.Duration(seconds) * time.Second / 2
		if !next.IsZero() {
			pause = next.Sub(now)
		}
		if clock.Sleep(ctx, max(pause, time.Millisecond)) != nil {
			return
		}
		now = clock.Now()
		if at := time.Unix(0, k.in.heard.Load()); at.After(time.Unix(0, 1)) {
			h.Received(at)
		}
		if !k.in.reading.Load() { // the silence is ours
			h.Received(now)
		}
		if at := time.Unix(0, k.sent.Load()); at.After(time.Unix(0, 1)) {
			h.Sent(at)
		}
	}
}
