package session

import (
	"fmt"

	"leat/gateway/amqp091/wire"
	"leat/internal/assert"
)

// Config is what a connection starts with.
type Config struct {
	Offer           wire.Limits // what tune offers
	Properties      wire.Table  // server-properties
	Mechanisms      string      // of login, with spaces between
	ContentBytesMax uint64      // of one body
	HeldBytesMax    int         // of all bodies of the connection that have come in part
}

// Do says what a frame asks of the gateway.
type Do uint8

// What there is to do. Where it says "answer", the next frame may only be given to Conn when that has been done.
const (
	Nothing      Do = iota
	Login           // Method is start-ok or secure-ok: answer with Challenge, LoggedIn or LoginRefused
	Open            // Method is connection.open: answer with Opened or Fail
	Secret          // Method is connection.update-secret: answer it, or Fail
	Call            // Method is one of an open channel: do it, answer it, or Fail
	Publish         // Content is whole: publish it; Mode says whether it is confirmed or waits for a commit
	ChannelOpen     // a channel begins: answer with channel.open-ok
	ChannelClose    // a channel ends at its client's wish: give back what it held, then ChannelCloseOK
	Close           // the connection ends at its client's wish: give back what it held, then CloseOK
	End             // nothing comes any more: close the socket
)

// Step is what a frame has led to. Method and Content are valid until the next frame.
type Step struct {
	Do      Do
	Channel uint16
	Method  wire.Method
	Content *Content
	Mode    Mode
}

// phase is how far the connection is.
//
//	starting → securing → tuning → opening → running → leaving  the client has sent close; close-ok is owed to it
//	                                   any phase → closing  we have sent close; only close and close-ok are read
//	                                   any phase → ended
type phase uint8

const (
	starting phase = iota
	securing
	tuning
	opening
	running
	leaving
	closing
	ended
)

func (p phase) String() string {
	return [...]string{"starting", "securing", "tuning", "opening", "running", "closing", "closing", "closed"}[p]
}

// Conn is one connection as its frames make it.
type Conn struct {
	cfg       Config
	phase     phase
	owed      bool // an answer of the gateway
	limits    wire.Limits
	able      Abilities
	decoder   wire.Decoder
	channels  map[uint16]*channel
	last      *channel // the one of the frame before
	held      int      // bytes of bodies that have come in part
	published bool
	blocked   bool
}

// Abilities are those of the client's capabilities that a broker asks for.
type Abilities struct {
	AuthenticationFailureClose bool // wants to be told that a login was refused
	ConsumerCancelNotify       bool // takes basic.cancel
	Blocked                    bool // takes connection.blocked
	BasicNack                  bool // takes basic.nack
}

// New is the machine of a connection whose client has sent the protocol header.
func New(cfg Config) *Conn {
	return &Conn{cfg: cfg, channels: map[uint16]*channel{}}
}

// Start adds the first method, connection.start.
func (c *Conn) Start(w *wire.Writer) error {
	return w.Method(0, &wire.ConnectionStart{VersionMinor: 9, ServerProperties: c.cfg.Properties, Mechanisms: []byte(c.cfg.Mechanisms), Locales: []byte("en_US")})
}

// FrameMax is the length of the longest frame that may come now, for wire.DecodeFrame, which bounds it as long as nothing is agreed.
func (c *Conn) FrameMax() int {
	if c.phase <= tuning {
		return wire.FrameBytesUntuned
	}
	if c.limits.FrameMax == 0 {
		return unlimitedFrameMax
	}
	return int(c.limits.FrameMax)
}

// unlimitedFrameMax is how long frames may be when an offer has no limit.
const unlimitedFrameMax = 16 << 20

// Limits are those that were agreed on, once the client has answered tune.
func (c *Conn) Limits() wire.Limits { return c.limits }

// Abilities are the client's, once it has begun to log in.
func (c *Conn) Abilities() Abilities { return c.able }

// HeldBytes is the memory that bodies take which have come in part.
func (c *Conn) HeldBytes() int { return c.held }

// Channels is the number of channels that are open, or closed by us and not yet by the client.
func (c *Conn) Channels() int { return len(c.channels) }

// Ended reports whether the connection is over: the socket can be closed when what was written has gone out.
func (c *Conn) Ended() bool { return c.phase == ended }

// Frame takes the next frame. An error is a *wire.Error and has not been answered: give it to Fail, with the frame's channel.
func (c *Conn) Frame(f wire.Frame) (Step, error) {
	assert.That(!c.owed, "a frame is taken when the one before it has been answered")
	switch {
	case f.Type == wire.FrameHeartbeat && f.Channel != 0 && c.phase == running:
		return Step{}, &wire.Error{Code: wire.UnexpectedFrame, Text: fmt.Sprintf("heartbeat on channel %d", f.Channel)}
	case f.Type == wire.FrameHeartbeat || c.phase == ended || c.phase == leaving:
		return Step{}, nil
	case f.Channel == 0:
		return c.control(f)
	case c.phase == closing:
		return Step{}, nil
	case c.phase != running:
		return Step{}, &wire.Error{Code: wire.UnexpectedFrame, Text: fmt.Sprintf("frame on channel %d in connection state %s", f.Channel, c.phase)}
	}
	return c.onChannel(f)
}

// control takes a frame of channel 0.
func (c *Conn) control(f wire.Frame) (Step, error) {
	if f.Type != wire.FrameMethod {
		if c.phase == closing {
			return Step{}, nil
		}
		return Step{}, &wire.Error{Code: wire.UnexpectedFrame, Text: "content on channel 0"}
	}
	m, err := c.decoder.DecodeMethod(f.Payload)
	if c.phase == closing {
		return c.afterClose(m), nil
	}
	if err != nil {
		return Step{}, err
	}
	switch m := m.(type) {
	case *wire.ConnectionStartOK:
		if c.phase == starting {
			c.able = abilities(m.ClientProperties)
			return c.ask(Login, securing, m), nil
		}
	case *wire.ConnectionSecureOK:
		if c.phase == securing {
			return c.ask(Login, securing, m), nil
		}
	case *wire.ConnectionTuneOK:
		if c.phase == tuning {
			if c.limits, err = c.cfg.Offer.Agree(m.Limits); err == nil {
				c.phase = opening
			}
			return Step{}, err
		}
	case *wire.ConnectionOpen:
		if c.phase == opening {
			return c.ask(Open, opening, m), nil
		}
	case *wire.ConnectionUpdateSecret:
		if c.phase == running {
			return Step{Do: Secret, Method: m}, nil
		}
	case *wire.ConnectionClose:
		c.phase = leaving
		c.drop()
		return Step{Do: Close, Method: m}, nil
	}
	return Step{}, &wire.Error{Code: wire.ChannelError, Method: m.ID(), Text: "unexpected method in connection state " + c.phase.String()}
}

// ask is a step that has to be answered before the next frame.
func (c *Conn) ask(do Do, p phase, m wire.Method) Step {
	c.phase, c.owed = p, true
	return Step{Do: do, Method: m}
}

// afterClose is what still counts when we have sent close. Two closes may cross: the client's is answered, and ends the wait for the
// answer to ours, which some clients never send then.
func (c *Conn) afterClose(m wire.Method) Step {
	switch m.(type) {
	case *wire.ConnectionClose:
		c.phase = leaving
		return Step{Do: Close, Method: m}
	case *wire.ConnectionCloseOK:
		c.phase = ended
		return Step{Do: End}
	}
	return Step{}
}

// abilities finds the capabilities among a client's properties.
func abilities(properties wire.Table) Abilities {
	v, _ := properties.Get("capabilities")
	t, _ := v.Table()
	is := func(name string) bool {
		v, _ := t.Get(name)
		b, _ := v.Bool()
		return b
	}
	return Abilities{
		AuthenticationFailureClose: is("authentication_failure_close"), ConsumerCancelNotify: is("consumer_cancel_notify"),
		Blocked: is("connection.blocked"), BasicNack: is("basic.nack"),
	}
}

// drop forgets all channels and what they held.
func (c *Conn) drop() {
	clear(c.channels)
	c.last, c.held = nil, 0
}
