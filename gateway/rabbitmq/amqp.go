package rabbitmq

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// amqp is a connection to our own AMQP gateway with one channel, for one request: it is opened as the caller, asked, and closed. All it reads and
// writes has the deadline of the request.
type amqp struct {
	c   net.Conn
	br  *bufio.Reader
	w   wire.Writer
	dec wire.Decoder
	p   []byte
}

// refused is what the AMQP gateway answered instead.
type refused struct {
	code wire.ReplyCode
	text string // as AMQP clients see it: PRECONDITION_FAILED - inequivalent arg …
}

func (e *refused) Error() string { return fmt.Sprintf("%d %s", e.code, e.text) }

// The one channel, and the largest frame that is read: our own gateway offers less.
const (
	channelNumber = 1
	frameBytesMax = 16 << 20
)

// open logs in and opens the channel. Whoever is nobody says what clients say by default, which is not looked at while there are no users.
func (g *Gateway) open(ctx context.Context, x *call, vhost string) (*amqp, error) {
	c, err := x.lane.dial(ctx, x.conn.RemoteAddr())
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end) // a pipe can always
	}
	a := &amqp{c: c, br: bufio.NewReader(c)}
	if err := a.login(x.user, x.password, vhost); err != nil {
		_ = c.Close()
		return nil, err
	}
	return a, nil
}

func (a *amqp) login(user, password, vhost string) error {
	if _, err := io.WriteString(a.c, wire.Header); err != nil {
		return err
	}
	if _, err := a.await(); err != nil {
		return err
	}
	var able, properties wire.Table
	able, _ = able.Add("authentication_failure_close", wire.Bool(true)) // the names are short
	properties, _ = properties.Add("capabilities", wire.TableValue(able))
	properties, _ = properties.Add("connection_name", wire.String("rabbitmq-management"))
	start := &wire.ConnectionStartOK{ClientProperties: properties, Mechanism: []byte("PLAIN"), Response: []byte("\x00" + user + "\x00" + password), Locale: []byte("en_US")}
	m, err := a.ask(0, start)
	if err != nil {
		return err
	}
	tune, is := m.(*wire.ConnectionTune)
	if !is {
		return fmt.Errorf("login: %s", wire.Text(m))
	}
	limits := tune.Limits
	limits.Heartbeat = 0
	a.w.SetFrameMax(int(limits.FrameMax))
	if err := a.w.Method(0, &wire.ConnectionTuneOK{Limits: limits}); err != nil {
		return err
	}
	if _, err := a.ask(0, &wire.ConnectionOpen{VirtualHost: []byte(vhost)}); err != nil {
		return err
	}
	_, err = a.ask(channelNumber, &wire.ChannelOpen{})
	return err
}

// close says goodbye. The answer is waited for: what was asked for is done then.
func (a *amqp) close() {
	_, _ = a.ask(0, &wire.ConnectionClose{ReplyCode: 200, ReplyText: []byte("goodbye")}) // whatever it says, the connection is over
	_ = a.c.Close()
}

func (a *amqp) flush() error {
	// The other side may be writing when we do, and a pipe holds nothing: it reads all that it is sent, so this ends.
	_, err := a.c.Write(a.w.AppendTo(nil))
	a.w.Reset()
	return err
}

// ask sends a method and returns the one that comes back.
func (a *amqp) ask(channel uint16, m wire.Method) (wire.Method, error) {
	if err := a.w.Method(channel, m); err != nil {
		return nil, err
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	return a.await()
}

// do asks for what is only answered or refused.
func (a *amqp) do(m wire.Method) error {
	_, err := a.ask(channelNumber, m)
	return err
}

// await returns the next method, valid until the next one is read. One that closes is a *refused.
func (a *amqp) await() (wire.Method, error) {
	for {
		f, err := a.frame()
		if err != nil {
			return nil, err
		}
		if f.Type != wire.FrameMethod {
			continue // a heartbeat
		}
		m, err := a.dec.DecodeMethod(f.Payload)
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *wire.ChannelClose:
			e := &refused{m.ReplyCode, string(m.ReplyText)}
			err := a.w.Method(f.Channel, &wire.ChannelCloseOK{})
			return nil, errors.Join(e, err, a.flush())
		case *wire.ConnectionClose:
			return nil, &refused{m.ReplyCode, string(m.ReplyText)}
		}
		return m, nil
	}
}

func (a *amqp) frame() (wire.Frame, error) {
	var head [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(a.br, head[:]); err != nil {
		return wire.Frame{}, err
	}
	h, err := wire.DecodeFrameHead(head[:], frameBytesMax)
	if err != nil {
		return wire.Frame{}, err
	}
	if cap(a.p) < h.PayloadBytes+1 {
		a.p = make([]byte, h.PayloadBytes+1)
	}
	p := a.p[:h.PayloadBytes+1]
	if _, err := io.ReadFull(a.br, p); err != nil {
		return wire.Frame{}, err
	}
	return wire.Frame{Type: h.Type, Channel: h.Channel, Payload: p[:h.PayloadBytes]}, nil
}

// publish publishes one message, and reports whether it reached a queue. It is stored when this returns.
func (a *amqp) publish(exchange, key string, properties, body []byte) (routed bool, err error) {
	if err := a.do(&wire.ConfirmSelect{}); err != nil {
		return false, err
	}
	m := &wire.BasicPublish{Exchange: []byte(exchange), RoutingKey: []byte(key), Mandatory: true}
	if err := a.w.Content(channelNumber, m, properties, body); err != nil {
		return false, err
	}
	if err := a.flush(); err != nil {
		return false, err
	}
	routed = true
	for {
		answer, err := a.await()
		if err != nil {
			return false, err
		}
		switch m := answer.(type) {
		case *wire.BasicReturn:
			routed = false
			if _, _, err := a.content(); err != nil {
				return false, err
			}
		case *wire.BasicAck:
			return routed, nil
		case *wire.BasicNack:
			return false, &refused{wire.ResourceError, "the message was not stored"}
		default:
			return false, fmt.Errorf("publish: %s", wire.Text(m))
		}
	}
}

// content reads what follows a method that has one.
func (a *amqp) content() (properties wire.Properties, body []byte, err error) {
	f, err := a.frame()
	if err != nil {
		return properties, nil, err
	}
	h, err := wire.DecodeContentHeader(f.Payload)
	if err != nil {
		return properties, nil, err
	}
	if err := properties.Decode(append([]byte(nil), h.Properties...)); err != nil {
		return properties, nil, err
	}
	for uint64(len(body)) < h.BodyBytes {
		if f, err = a.frame(); err != nil {
			return properties, nil, err
		}
		body = append(body, f.Payload...)
	}
	return properties, body, nil
}

// timeout bounds what a request does.
func (g *Gateway) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, clock.Now().Add(g.cfg.CallTimeout))
}
