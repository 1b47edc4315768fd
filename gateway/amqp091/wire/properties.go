package wire

import "encoding/binary"

// ContentHeader is the header frame of a content. Its properties are kept as they came: a broker that hands a message on writes the same
// bytes, whatever it looked at. They are flags and values, ready for Properties.Decode and Writer.Content.
//
//	class u16 | weight u16, always 0 | body size u64 | properties: flags u16 | values
type ContentHeader struct {
	Class      uint16
	BodyBytes  uint64
	Properties []byte
}

// contentHeaderBytes is the length of a header frame's payload before its properties.
const contentHeaderBytes = 12

// DecodeContentHeader decodes the payload of a header frame, but for its properties.
func DecodeContentHeader(payload []byte) (ContentHeader, error) {
	if len(payload) < contentHeaderBytes+2 {
		return ContentHeader{}, errorf(FrameError, 0, "a content header with a payload of %d bytes", len(payload))
	}
	if weight := binary.BigEndian.Uint16(payload[2:]); weight != 0 {
		return ContentHeader{}, errorf(SyntaxError, 0, "a content header of weight %d, which has to be 0", weight)
	}
	return ContentHeader{
		Class:      binary.BigEndian.Uint16(payload),
		BodyBytes:  binary.BigEndian.Uint64(payload[4:]),
		Properties: payload[contentHeaderBytes:],
	}, nil
}

// PropertyFlags say which properties a content has: one that is there and empty is not one that is missing.
type PropertyFlags uint16

// The properties, in the order in which their values follow.
const (
	HasContentType PropertyFlags = 1 << (15 - iota)
	HasContentEncoding
	HasHeaders
	HasDeliveryMode
	HasPriority
	HasCorrelationID
	HasReplyTo
	HasExpiration
	HasMessageID
	HasTimestamp
	HasType
	HasUserID
	HasAppID
	HasClusterID
)

// The two lowest flags: none of class basic's, and "16 more flags follow", which no class needs.
const unknownProperties PropertyFlags = 3

// Delivery modes.
const (
	Transient  = 1
	Persistent = 2
)

// Properties are those of class basic.
type Properties struct {
	Flags           PropertyFlags
	ContentType     []byte
	ContentEncoding []byte
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   []byte
	ReplyTo         []byte
	Expiration      []byte // milliseconds, as text
	MessageID       []byte
	Timestamp       uint64 // seconds
	Type            []byte
	UserID          []byte
	AppID           []byte
	ClusterID       []byte
}

// Decode decodes the properties of a content header, all of them. What was in p is gone.
func (p *Properties) Decode(b []byte) error {
	*p = Properties{}
	c := codec{mode: reading, id: IDBasicPublish, b: b}
	c.short("property-flags", (*uint16)(&p.Flags))
	if p.Flags&unknownProperties != 0 {
		return errorf(SyntaxError, IDBasicPublish, "content header: property flags 0x%04X; class basic has 14 properties", uint16(p.Flags))
	}
	p.fields(&c)
	if c.err == nil && len(c.b) > 0 {
		c.err = errorf(FrameError, IDBasicPublish, "content header: %d bytes after the last property", len(c.b))
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// Append appends the properties to dst as Decode takes them. Their flags say which; values without flag are left out. The error is
// ErrTooLong, and dst is then as it was.
func (p *Properties) Append(dst []byte) ([]byte, error) {
	flags := p.Flags &^ unknownProperties
	c := codec{mode: writing, b: binary.BigEndian.AppendUint16(dst, uint16(flags))}
	p.fields(&c)
	if c.err != nil {
		return dst, ErrTooLong
	}
	return c.b, nil
}

// String is the properties as text, those that are there.
func (p *Properties) String() string {
	c := codec{mode: printing}
	p.fields(&c)
	if len(c.b) == 0 {
		return ""
	}
	return string(c.b[1:])
}

func (p *Properties) fields(c *codec) {
	f := p.Flags
	if f&HasContentType != 0 {
		c.shortstr("content-type", &p.ContentType)
	}
	if f&HasContentEncoding != 0 {
		c.shortstr("content-encoding", &p.ContentEncoding)
	}
	if f&HasHeaders != 0 {
		c.table("headers", &p.Headers)
	}
	if f&HasDeliveryMode != 0 {
		c.octet("delivery-mode", &p.DeliveryMode)
	}
	if f&HasPriority != 0 {
		c.octet("priority", &p.Priority)
	}
	if f&HasCorrelationID != 0 {
		c.shortstr("correlation-id", &p.CorrelationID)
	}
	if f&HasReplyTo != 0 {
		c.shortstr("reply-to", &p.ReplyTo)
	}
	if f&HasExpiration != 0 {
		c.shortstr("expiration", &p.Expiration)
	}
	if f&HasMessageID != 0 {
		c.shortstr("message-id", &p.MessageID)
	}
	if f&HasTimestamp != 0 {
		c.longlong("timestamp", &p.Timestamp)
	}
	if f&HasType != 0 {
		c.shortstr("type", &p.Type)
	}
	if f&HasUserID != 0 {
		c.shortstr("user-id", &p.UserID)
	}
	if f&HasAppID != 0 {
		c.shortstr("app-id", &p.AppID)
	}
	if f&HasClusterID != 0 {
		c.shortstr("cluster-id", &p.ClusterID)
	}
}
