package session

import (
	"fmt"

	"leat/gateway/amqp091/wire"
)

// Mode is what happens to the publishes of a channel.
type Mode uint8

// The modes. A channel leaves Plain once and for ever.
const (
	Plain Mode = iota
	Confirming
	Transactional
)

// channelPhase is how far a channel is.
type channelPhase uint8

const (
	channelOpen    channelPhase = iota
	channelLeaving              // the client has sent close; close-ok is owed to it
	channelClosing              // we have sent close; only close and close-ok are read
)

type channel struct {
	number uint16
	phase  channelPhase
	mode   Mode
	part   part
}

func (c *Conn) channel(number uint16) *channel {
	if c.last != nil && c.last.number == number {
		return c.last
	}
	ch := c.channels[number]
	if ch != nil {
		c.last = ch
	}
	return ch
}

// letGo forgets the content that a channel has in part.
func (c *Conn) letGo(ch *channel) {
	c.held -= cap(ch.part.body)
	ch.part = part{}
}

// onChannel takes a frame of a channel of a running connection.
func (c *Conn) onChannel(f wire.Frame) (Step, error) {
	ch := c.channel(f.Channel)
	if ch != nil && ch.phase != channelOpen {
		return c.afterChannelClose(ch, f), nil
	}
	switch {
	case f.Type != wire.FrameMethod:
		return c.content(ch, f)
	case ch != nil && ch.part.want != wantMethod:
		return Step{}, ch.part.unexpected()
	}
	m, err := c.decoder.DecodeMethod(f.Payload)
	if err != nil {
		return Step{}, err
	}
	if _, is := m.(*wire.ChannelOpen); is {
		return c.openChannel(ch, f.Channel)
	}
	if ch == nil {
		return Step{}, refuse(wire.ChannelError, m, "expected 'channel.open'")
	}
	if id := m.ID(); !id.FromClient() || id.Class() == wire.ClassConnection || id == wire.IDChannelCloseOK {
		return Step{}, refuse(wire.CommandInvalid, m, "unimplemented method")
	}
	return c.method(ch, m)
}

func refuse(code wire.ReplyCode, m wire.Method, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Method: m.ID(), Text: fmt.Sprintf(format, args...)}
}

func (c *Conn) openChannel(ch *channel, number uint16) (Step, error) {
	switch most := c.limits.Channels(); {
	case ch != nil:
		return Step{}, &wire.Error{Code: wire.ChannelError, Method: wire.IDChannelOpen, Text: "second 'channel.open' seen"}
	case number > most:
		return Step{}, &wire.Error{Code: wire.NotAllowed, Method: wire.IDChannelOpen, Text: fmt.Sprintf("channel %d is over the negotiated channel_max (%d)", number, most)}
	}
	ch = &channel{number: number}
	c.channels[number], c.last = ch, ch
	return Step{Do: ChannelOpen, Channel: number}, nil
}

// afterChannelClose is what still counts on a channel that ends. The client's close may cross ours: it is answered, and its close-ok is
// waited for all the same.
func (c *Conn) afterChannelClose(ch *channel, f wire.Frame) Step {
	if f.Type != wire.FrameMethod || ch.phase == channelLeaving {
		return Step{}
	}
	m, err := c.decoder.DecodeMethod(f.Payload)
	if err != nil {
		return Step{}
	}
	switch m.(type) {
	case *wire.ChannelClose:
		return Step{Do: ChannelClose, Channel: ch.number, Method: m}
	case *wire.ChannelCloseOK:
		delete(c.channels, ch.number)
		c.last = nil
	}
	return Step{}
}

// method takes a method of an open channel, and refuses what no gateway need look at.
func (c *Conn) method(ch *channel, m wire.Method) (Step, error) {
	call := Step{Do: Call, Channel: ch.number, Method: m, Mode: ch.mode}
	switch m := m.(type) {
	case *wire.BasicPublish:
		if m.Immediate {
			return Step{}, refuse(wire.NotImplemented, m, "immediate=true")
		}
		c.published = true
		ch.part.begin(m)
		return Step{}, nil
	case *wire.ChannelClose:
		ch.phase = channelLeaving
		c.letGo(ch)
		return Step{Do: ChannelClose, Channel: ch.number, Method: m}, nil
	case *wire.ChannelFlowOK:
		return Step{}, nil
	case *wire.ChannelFlow:
		if !m.Active {
			return Step{}, refuse(wire.NotImplemented, m, "active=false")
		}
	case *wire.BasicQoS:
		if m.PrefetchSize != 0 {
			return Step{}, refuse(wire.NotImplemented, m, "prefetch_size!=0 (%d)", m.PrefetchSize)
		}
	case *wire.BasicRecover:
		if !m.Requeue {
			return Step{}, refuse(wire.NotImplemented, m, "requeue=false")
		}
	case *wire.BasicRecoverAsync:
		if !m.Requeue {
			return Step{}, refuse(wire.NotImplemented, m, "requeue=false")
		}
	case *wire.ConfirmSelect:
		if ch.mode == Transactional {
			return Step{}, refuse(wire.PreconditionFailed, m, "cannot switch from tx to confirm mode")
		}
		ch.mode = Confirming
	case *wire.TxSelect:
		if ch.mode == Confirming {
			return Step{}, refuse(wire.PreconditionFailed, m, "cannot switch from confirm to tx mode")
		}
		ch.mode = Transactional
	case *wire.TxCommit, *wire.TxRollback:
		if ch.mode != Transactional {
			return Step{}, refuse(wire.PreconditionFailed, m, "channel is not transactional")
		}
	}
	call.Mode = ch.mode
	return call, nil
}
