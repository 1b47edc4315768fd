package session

import (
	"leat/gateway/amqp091/wire"
	"leat/internal/assert"
)

// answered is the gateway's answer to a step of the handshake.
func (c *Conn) answered(from, to phase) {
	assert.That(c.owed && c.phase == from, "an answer in state %s is owed", c.phase)
	c.owed, c.phase = false, to
}

// Challenge answers Login with a further challenge.
func (c *Conn) Challenge(w *wire.Writer, challenge []byte) error {
	c.answered(securing, securing)
	return w.Method(0, &wire.ConnectionSecure{Challenge: challenge})
}

// LoggedIn answers Login: it is enough. Limits are offered.
func (c *Conn) LoggedIn(w *wire.Writer) error {
	c.answered(securing, tuning)
	return w.Method(0, &wire.ConnectionTune{Limits: c.cfg.Offer})
}

// LoginRefused answers Login. Clients that did not ask to be told see the socket close: silent is true, and it should close only after
// a while, so that guessing takes time.
func (c *Conn) LoginRefused(w *wire.Writer, text string) (silent bool, err error) {
	c.answered(securing, securing)
	e := &wire.Error{Code: wire.AccessRefused, Text: text}
	if !c.able.AuthenticationFailureClose {
		c.phase = ended
		return true, nil
	}
	return false, c.close(w, e)
}

// Opened answers Open.
func (c *Conn) Opened(w *wire.Writer) error {
	c.answered(opening, running)
	return w.Method(0, &wire.ConnectionOpenOK{})
}

// Fail answers a frame that was refused, or ends a channel or the connection for a reason of the gateway's: hard codes, and all on
// channel 0, end the connection. What the channels concerned held is for the gateway to give back. silent is true when a peer that has
// not logged in is not worth an answer; the socket is to be closed.
func (c *Conn) Fail(w *wire.Writer, channel uint16, e *wire.Error) (silent bool, err error) {
	c.owed = false
	switch {
	case c.phase >= leaving:
		return false, nil
	case c.phase < tuning:
		c.phase = ended
		return true, nil
	case channel == 0 || e.Code.Hard():
		return false, c.close(w, e)
	}
	ch := c.channels[channel]
	if ch == nil || ch.phase != channelOpen {
		return false, nil // it has ended in the meantime
	}
	ch.phase = channelClosing
	c.letGo(ch)
	return false, w.Method(channel, &wire.ChannelClose{ReplyCode: e.Code, ReplyText: []byte(e.ReplyText()), ClassID: e.Method.Class(), MethodID: e.Method.Number()})
}

func (c *Conn) close(w *wire.Writer, e *wire.Error) error {
	c.phase = closing
	c.drop()
	return w.Method(0, &wire.ConnectionClose{ReplyCode: e.Code, ReplyText: []byte(e.ReplyText()), ClassID: e.Method.Class(), MethodID: e.Method.Number()})
}

// ChannelCloseOK answers ChannelClose; the channel's number is free. It is not written when the connection has begun to end since.
func (c *Conn) ChannelCloseOK(w *wire.Writer, channel uint16) error {
	ch := c.channels[channel]
	if ch == nil {
		return nil
	}
	if ch.phase == channelLeaving {
		delete(c.channels, channel)
		if c.last == ch {
			c.last = nil
		}
	}
	return w.Method(channel, &wire.ChannelCloseOK{})
}

// CloseOK answers Close, and is the last of the connection.
func (c *Conn) CloseOK(w *wire.Writer) error {
	assert.That(c.phase == leaving, "close-ok answers a close")
	c.phase = ended
	return w.Method(0, &wire.ConnectionCloseOK{})
}

// Block tells a client that publishes, and takes such news, that nothing is read from it for now. It is said once.
func (c *Conn) Block(w *wire.Writer, reason string) error {
	if c.phase != running || !c.able.Blocked || !c.published || c.blocked {
		return nil
	}
	c.blocked = true
	return w.Method(0, &wire.ConnectionBlocked{Reason: []byte(reason)})
}

// Unblock takes Block back.
func (c *Conn) Unblock(w *wire.Writer) error {
	if c.phase != running || !c.blocked {
		return nil
	}
	c.blocked = false
	return w.Method(0, &wire.ConnectionUnblocked{})
}
