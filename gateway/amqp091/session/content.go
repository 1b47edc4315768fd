package session

import (
	"fmt"

	"leat/gateway/amqp091/wire"
)

// Content is a message as it was published.
type Content struct {
	Exchange, RoutingKey []byte
	Mandatory            bool
	Properties           wire.Properties
	RawProperties        []byte // the same, as they came: what is handed on
	Body                 []byte
	// BodyKept: the body has memory of its own, which is the gateway's from here on. Otherwise it is part of the frame. Everything else
	// is valid until the channel's next content.
	BodyKept bool
}

// want is what the next frame of a channel has to be.
type want uint8

const (
	wantMethod want = iota
	wantHeader
	wantBody
)

// part is a content that comes. Names and properties are copied, because the frames they were in are gone when the body is whole; a body
// that is whole in one frame is not, which is the case of almost all.
//
//	method: exchange, key → arena      header: properties → arena, size known      body: whole? the frame itself : appended to body
type part struct {
	want    want
	left    uint64 // bytes of the body that have not come
	arena   []byte
	body    []byte
	content Content
}

// How much memory a content's names and properties leave behind on its channel, and how a body begins that comes in several frames: more
// is taken as more comes, so a claim costs nothing.
const (
	arenaBytesKept = 4 << 10
	bodyBytesFirst = 64 << 10
)

func (p *part) begin(m *wire.BasicPublish) {
	if cap(p.arena) > arenaBytesKept {
		p.arena = nil
	}
	p.arena = append(append(p.arena[:0], m.Exchange...), m.RoutingKey...)
	n := len(m.Exchange)
	p.content = Content{Exchange: p.arena[:n:n], RoutingKey: p.arena[n:len(p.arena):len(p.arena)], Mandatory: m.Mandatory}
	p.want = wantHeader
}

func (p *part) unexpected() *wire.Error {
	e := &wire.Error{Code: wire.UnexpectedFrame, Method: wire.IDBasicPublish}
	switch p.want {
	case wantHeader:
		e.Text = "expected content header for class 60, got non content header frame instead"
	case wantBody:
		e.Text = "expected content body, got non content body frame instead"
	case wantMethod:
		e.Method, e.Text = 0, "expected method frame, got non method frame instead"
	}
	return e
}

// content takes a header or body frame.
func (c *Conn) content(ch *channel, f wire.Frame) (Step, error) {
	switch {
	case ch == nil:
		return Step{}, new(part).unexpected()
	case f.Type == wire.FrameHeader && ch.part.want == wantHeader:
		return c.header(ch, f)
	case f.Type == wire.FrameBody && ch.part.want == wantBody:
		return c.body(ch, f.Payload)
	}
	return Step{}, ch.part.unexpected()
}

func (c *Conn) header(ch *channel, f wire.Frame) (Step, error) {
	p := &ch.part
	h, err := wire.DecodeContentHeader(f.Payload)
	if err != nil {
		return Step{}, err
	}
	if h.Class != wire.ClassBasic {
		return Step{}, &wire.Error{Code: wire.UnexpectedFrame, Method: wire.IDBasicPublish,
			Text: fmt.Sprintf("expected content header for class %d, got one for class %d instead", wire.ClassBasic, h.Class)}
	}
	if h.BodyBytes > c.cfg.ContentBytesMax {
		return Step{}, &wire.Error{Code: wire.PreconditionFailed, Method: wire.IDBasicPublish,
			Text: fmt.Sprintf("message size %d is larger than configured max size %d", h.BodyBytes, c.cfg.ContentBytesMax)}
	}
	// The arena may move: names that lie in the old one stay valid, it is only not reused.
	n := len(p.arena)
	p.arena = append(p.arena, h.Properties...)
	p.content.RawProperties = p.arena[n:len(p.arena):len(p.arena)]
	if err := p.content.Properties.Decode(p.content.RawProperties); err != nil {
		return Step{}, err
	}
	p.want, p.left = wantBody, h.BodyBytes
	if h.BodyBytes == 0 {
		return c.whole(ch), nil
	}
	return Step{}, nil
}

func (c *Conn) body(ch *channel, b []byte) (Step, error) {
	p := &ch.part
	if uint64(len(b)) > p.left {
		return Step{}, &wire.Error{Code: wire.FrameError, Method: wire.IDBasicPublish, Text: "content body frame exceeds remaining content size"}
	}
	if len(p.body) == 0 && uint64(len(b)) == p.left {
		p.content.Body = b
		return c.whole(ch), nil
	}
	if err := c.grow(p, len(b)); err != nil {
		return Step{}, err
	}
	p.body = append(p.body, b...)
	if p.left -= uint64(len(b)); p.left > 0 {
		return Step{}, nil
	}
	p.content.Body, p.content.BodyKept = p.body, true
	c.held -= cap(p.body)
	p.body = nil
	return c.whole(ch), nil
}

// grow makes room for n bytes more, at least twice what there was, at most the body.
func (c *Conn) grow(p *part, n int) error {
	have, need := cap(p.body), len(p.body)+n
	if need <= have {
		return nil
	}
	room := int(min(uint64(max(2*have, need, bodyBytesFirst)), uint64(len(p.body))+p.left))
	if c.held+room-have > c.cfg.HeldBytesMax {
		return &wire.Error{Code: wire.ResourceError, Method: wire.IDBasicPublish,
			Text: fmt.Sprintf("messages that have come in part take more than %d bytes on this connection", c.cfg.HeldBytesMax)}
	}
	more := make([]byte, len(p.body), room)
	copy(more, p.body)
	c.held += cap(more) - have
	p.body = more
	return nil
}

func (c *Conn) whole(ch *channel) Step {
	ch.part.want, ch.part.left = wantMethod, 0
	return Step{Do: Publish, Channel: ch.number, Content: &ch.part.content, Mode: ch.mode}
}
