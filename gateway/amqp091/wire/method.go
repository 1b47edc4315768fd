package wire

import (
	"encoding/binary"
	"fmt"
)

// Method is a method of the protocol: the pointer to one of the types of the methods_*.go files. Names and texts in it are bytes; those
// of a decoded one are part of the frame.
type Method interface {
	ID() ID
	fields(c *codec)
}

// ID is class and method: class<<16 | method.
type ID uint32

// Class is the number of the method's class.
func (id ID) Class() uint16 { return uint16(id >> 16) }

// Number is the number of the method in its class.
func (id ID) Number() uint16 { return uint16(id) }

// String is the method's name in the specification, as basic.publish.
func (id ID) String() string {
	if info, ok := methods[id]; ok {
		return info.name
	}
	return fmt.Sprintf("method %d,%d", id.Class(), id.Number())
}

// Known reports whether there is such a method.
func (id ID) Known() bool {
	_, ok := methods[id]
	return ok
}

// HasContent reports whether a header and a body follow the method.
func (id ID) HasContent() bool {
	return id == IDBasicPublish || id == IDBasicDeliver || id == IDBasicReturn || id == IDBasicGetOK
}

// FromClient reports whether a client may send the method.
func (id ID) FromClient() bool { return methods[id].from != server }

// FromServer reports whether a server may send the method.
func (id ID) FromServer() bool { return methods[id].from != client }

// Classes by number.
const (
	ClassConnection = 10
	ClassChannel    = 20
	ClassAccess     = 30
	ClassExchange   = 40
	ClassQueue      = 50
	ClassBasic      = 60
	ClassConfirm    = 85
	ClassTx         = 90
)

// Decoder decodes methods. Those that come with every message are decoded into its own memory, so a method is valid until the next call.
// The zero Decoder is ready; it is not for two goroutines at once.
type Decoder struct {
	c       codec
	publish BasicPublish
	deliver BasicDeliver
	ack     BasicAck
	nack    BasicNack
	reject  BasicReject
	get     BasicGet
	getOK   BasicGetOK
}

// DecodeMethod decodes the payload of a method frame, all of it.
func (d *Decoder) DecodeMethod(payload []byte) (Method, error) {
	if len(payload) < 4 {
		return nil, errorf(FrameError, 0, "a method frame with a payload of %d bytes", len(payload))
	}
	id := ID(binary.BigEndian.Uint32(payload))
	m := d.method(id)
	if m == nil {
		return nil, errorf(NotImplemented, id, "class %d has no method %d", id.Class(), id.Number())
	}
	d.c = codec{b: payload[4:], mode: reading, id: id}
	m.fields(&d.c)
	if d.c.err == nil && len(d.c.b) > 0 {
		d.c.err = errorf(FrameError, id, "%s: %d bytes after the last field", id, len(d.c.b))
	}
	if d.c.err != nil {
		return nil, d.c.err
	}
	return m, nil
}

func (d *Decoder) method(id ID) Method {
	switch id {
	case IDBasicPublish:
		return &d.publish
	case IDBasicDeliver:
		return &d.deliver
	case IDBasicAck:
		return &d.ack
	case IDBasicNack:
		return &d.nack
	case IDBasicReject:
		return &d.reject
	case IDBasicGet:
		return &d.get
	case IDBasicGetOK:
		return &d.getOK
	default: // not hot
	}
	if info, ok := methods[id]; ok {
		return info.make()
	}
	return nil
}

// New is an empty method of this id, nil if there is none.
func New(id ID) Method {
	if info, ok := methods[id]; ok {
		return info.make()
	}
	return nil
}

// sender is who may send a method.
type sender uint8

const (
	both sender = iota
	client
	server
)

type info struct {
	name string
	from sender
	make func() Method
}
