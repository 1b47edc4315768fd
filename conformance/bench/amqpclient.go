package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// amqpClient is one connection with one channel, as raw frames: what it costs is moving bytes. It speaks as much of AMQP 0-9-1 as any server
// needs to let it publish and consume.
//
//	frame   type u8 | channel u16 | size u32 | payload | CE      method: class u16 | method u16 | fields
type amqpClient struct {
	c  net.Conn
	br *bufio.Reader
}

const (
	amqpTimeout    = 2 * time.Minute // of a run, so that a server that says nothing is found out
	amqpReadBytes  = 256 << 10
	amqpFrameBytes = 8 // around a payload
	amqpFrameMax   = 128 << 10
	amqpFrameEnd   = 0xCE
)

// amqpMethod is class and method.
type amqpMethod uint32

const (
	amqpStart      amqpMethod = 10<<16 | 10
	amqpStartOK    amqpMethod = 10<<16 | 11
	amqpTune       amqpMethod = 10<<16 | 30
	amqpTuneOK     amqpMethod = 10<<16 | 31
	amqpOpen       amqpMethod = 10<<16 | 40
	amqpOpenOK     amqpMethod = 10<<16 | 41
	amqpChanOpen   amqpMethod = 20<<16 | 10
	amqpChanOpenOK amqpMethod = 20<<16 | 11
	amqpDeclare    amqpMethod = 50<<16 | 10
	amqpDeclareOK  amqpMethod = 50<<16 | 11
	amqpQoS        amqpMethod = 60<<16 | 10
	amqpQoSOK      amqpMethod = 60<<16 | 11
	amqpConsume    amqpMethod = 60<<16 | 20
	amqpConsumeOK  amqpMethod = 60<<16 | 21
	amqpPublish    amqpMethod = 60<<16 | 40
	amqpDeliver    amqpMethod = 60<<16 | 60
	amqpAck        amqpMethod = 60<<16 | 80
	amqpNack       amqpMethod = 60<<16 | 120
	amqpConfirm    amqpMethod = 85<<16 | 10
	amqpConfirmOK  amqpMethod = 85<<16 | 11
)

// dialAMQP connects, logs in as guest, and opens channel 1.
func dialAMQP(addr string) (*amqpClient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	a := &amqpClient{c: c, br: bufio.NewReaderSize(c, amqpReadBytes)}
	if err := a.open(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("amqp: %w", err)
	}
	return a, nil
}

func (a *amqpClient) close() { _ = a.c.Close() }

func (a *amqpClient) open() error {
	if err := a.c.SetDeadline(time.Now().Add(amqpTimeout)); err != nil {
		return err
	}
	if _, err := a.c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	if err := a.await(amqpStart); err != nil {
		return err
	}
	login := amqpShort(amqpLong(amqpShort(amqpLong(nil, ""), "PLAIN"), "\x00guest\x00guest"), "en_US")
	if err := a.call(0, amqpStartOK, login, amqpTune); err != nil {
		return err
	}
	limits := binary.BigEndian.AppendUint16(nil, 2047)
	limits = binary.BigEndian.AppendUint32(limits, amqpFrameMax)
	limits = binary.BigEndian.AppendUint16(limits, 0) // no heartbeats
	if _, err := a.c.Write(amqpFrame(nil, 0, amqpTuneOK, limits)); err != nil {
		return err
	}
	if err := a.call(0, amqpOpen, append(amqpShort(nil, "/"), 0, 0), amqpOpenOK); err != nil {
		return err
	}
	return a.call(1, amqpChanOpen, []byte{0}, amqpChanOpenOK)
}

func amqpDeclaration(queue string, flags byte) []byte {
	args := append(amqpShort(nil, "x-queue-type"), 'S')
	args = amqpLong(args, "quorum")
	return amqpLong(append(amqpShort([]byte{0, 0}, queue), flags), string(args))
}

// Flags of a declaration.
const (
	amqpDurable = 2
	amqpNoWait  = 16
)

// declareMany makes durable quorum queues, without waiting for each.
func (a *amqpClient) declareMany(queues []string) error {
	const atOnce = 1000
	for len(queues) > 0 {
		n := min(len(queues), atOnce)
		var out []byte
		for _, q := range queues[:n-1] {
			out = amqpFrame(out, 1, amqpDeclare, amqpDeclaration(q, amqpDurable|amqpNoWait))
		}
		if err := a.c.SetDeadline(time.Now().Add(amqpTimeout)); err != nil {
			return err
		}
		if _, err := a.c.Write(out); err != nil {
			return err
		}
		if err := a.declare(queues[n-1]); err != nil {
			return err
		}
		queues = queues[n:]
	}
	return nil
}

// declare makes a durable quorum queue.
func (a *amqpClient) declare(queue string) error {
	return a.call(1, amqpDeclare, amqpDeclaration(queue, amqpDurable), amqpDeclareOK)
}

func (a *amqpClient) confirm() error {
	return a.call(1, amqpConfirm, []byte{0}, amqpConfirmOK)
}

// consume begins to consume, acknowledging each.
func (a *amqpClient) consume(queue string, prefetch int) error {
	p := binary.BigEndian.AppendUint16(make([]byte, 4), uint16(prefetch))
	if err := a.call(1, amqpQoS, append(p, 0), amqpQoSOK); err != nil {
		return err
	}
	p = amqpShort(amqpShort([]byte{0, 0}, queue), "c")
	return a.call(1, amqpConsume, amqpLong(append(p, 0), ""), amqpConsumeOK)
}

func amqpShort(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }

func amqpLong(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

func amqpHead(dst []byte, kind byte, channel uint16, size int) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, kind), channel)
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

func amqpFrame(dst []byte, channel uint16, m amqpMethod, fields []byte) []byte {
	dst = amqpHead(dst, 1, channel, 4+len(fields))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m))
	return append(append(dst, fields...), amqpFrameEnd)
}

// amqpMessage is a publish of a persistent message to a queue: three frames. The body is the last bytes but one.
func amqpMessage(queue string, body []byte) []byte {
	fields := append(amqpShort(amqpShort([]byte{0, 0}, ""), queue), 0)
	p := amqpFrame(nil, 1, amqpPublish, fields)
	const persistent, hasDeliveryMode = 2, 0x1000
	p = append(amqpHead(p, 2, 1, 15), 0, 60, 0, 0)
	p = binary.BigEndian.AppendUint64(p, uint64(len(body)))
	p = append(binary.BigEndian.AppendUint16(p, hasDeliveryMode), persistent, amqpFrameEnd)
	return append(append(amqpHead(p, 3, 1, len(body)), body...), amqpFrameEnd)
}

func (a *amqpClient) call(channel uint16, m amqpMethod, fields []byte, want amqpMethod) error {
	if _, err := a.c.Write(amqpFrame(nil, channel, m, fields)); err != nil {
		return err
	}
	return a.await(want)
}

// await reads a method that must be want.
func (a *amqpClient) await(want amqpMethod) error {
	kind, p, err := a.next()
	if err != nil {
		return err
	}
	if kind != 1 || amqpMethod(binary.BigEndian.Uint32(p)) != want {
		return fmt.Errorf("waiting for %d.%d: %w", want>>16, want&0xffff, amqpOther(kind, p))
	}
	return nil
}

// next reads a frame. Its payload is valid until the next one.
func (a *amqpClient) next() (kind byte, payload []byte, err error) {
	head, err := a.br.Peek(amqpFrameBytes - 1)
	if err != nil {
		return 0, nil, err
	}
	kind, n := head[0], int(binary.BigEndian.Uint32(head[3:]))
	if n+amqpFrameBytes > amqpReadBytes {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	p, err := a.br.Peek(n + amqpFrameBytes)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, nil, err
	}
	if p[n+amqpFrameBytes-1] != amqpFrameEnd {
		return 0, nil, errors.New("a frame without its end")
	}
	_, err = a.br.Discard(n + amqpFrameBytes)
	return kind, p[amqpFrameBytes-1 : n+amqpFrameBytes-1], err
}

// amqpOther says what came that was not expected: closes have a text.
func amqpOther(kind byte, p []byte) error {
	if kind != 1 || len(p) < 4 {
		return fmt.Errorf("a frame of type %d", kind)
	}
	m := amqpMethod(binary.BigEndian.Uint32(p))
	if (m == 10<<16|50 || m == 20<<16|40) && len(p) > 7 {
		return fmt.Errorf("closed: %d %s", binary.BigEndian.Uint16(p[4:]), p[7:min(len(p), 7+int(p[6]))])
	}
	return fmt.Errorf("method %d.%d", m>>16, m&0xffff)
}
