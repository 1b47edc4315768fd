package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway"
	"leat/gateway/kafka/wire"
	"leat/internal/clock"
)

// conn is one connection: two goroutines and the queue between them.
//
//	reader  reserve memory → read a frame → decode its header → Produce: decode, submit       ┐
//	                                                            login, ApiVersions: answer    ├→ queue (InFlightMax, InFlightBytesMax) → writer
//	                                                            everything else: as it is     ┘
//	writer  take the next slot → wait for its appends, or do what it asks for → encode → write what is there to write
//
// Appends are submitted by the reader in the order in which they came, many at once, so they keep their order and share syncs. All
// else runs in the writer, after the answers before it: a client that asks for the end of a partition behind an append sees that
// append, and answers are in the order of requests without anybody sorting them. A long poll makes the answers behind it wait, as the
// protocol wants it, and nothing else. Logging in is done by the reader because it decides how the bytes behind it are read.
type conn struct {
	g   *Gateway
	c   *gateway.Conn
	br  *bufio.Reader
	ops map[int16]*gateway.Operation

	caller  *broker.Caller // of the reader; a new one at login
	login   login
	mute    mute
	names   names // of the reader
	reading *slot // by the reader, and not in the queue yet
	lane    broker.Lane
	sent    int // bytes of its last Produce request
	large   large

	queue chan *slot
	hurry chan struct{} // closed when nothing more will be read: long polls end
	out   writer
}

// readBufferBytes is what one read from the socket can bring in; larger frames are read straight into their own memory.
const readBufferBytes = 8 << 10

func newConn(g *Gateway, c *gateway.Conn, ops map[int16]*gateway.Operation) *conn {
	k := &conn{
		g: g, c: c, ops: ops,
		br:     bufio.NewReaderSize(c, readBufferBytes),
		caller: &broker.Caller{Listener: c.Listener().Name(), Protocol: "kafka", Address: hostOf(c.RemoteAddr().String())},
		queue:  make(chan *slot, g.cfg.InFlightMax),
		hurry:  make(chan struct{}),
		large:  large{fewer: make(chan struct{}, 1)},
	}
	if user := g.certified(c); user != "" {
		k.caller.Principal, k.caller.Namespace = user, g.b.NamespaceOf(user)
	}
	if c.WritesPlaces() {
		k.out.reader.keep = k.out.reader.rooms.keep
	}
	return k
}

// serve runs until the peer has left, broken the protocol or logged in badly, or the listener drains; what has been read is answered.
func (k *conn) serve(ctx context.Context) {
	writerDied := make(chan string, 1)
	go func() {
		defer close(writerDied)
		defer k.g.sessions.leave(k)
		defer func() {
			if p := recover(); p != nil {
				_ = k.c.Close() // the reader must not wait for ever
				k.out.abandon()
				for s := range k.queue {
					s.done()
				}
				writerDied <- fmt.Sprintf("%v, in the writer: %s", p, debug.Stack())
			}
		}()
		k.writeLoop(ctx)
	}()
	defer func() { // also when the reader panics: the harness reports it
		if k.reading != nil {
			k.reading.done()
		}
		close(k.hurry)
		close(k.queue)
		if text, died := <-writerDied; died {
			panic(text)
		}
	}()
	err := k.readLoop(ctx)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, gateway.ErrDraining), errors.Is(err, gateway.ErrIdle):
	default:
		k.c.Log().Info("connection ends", "client", k.caller.Client, "error", err)
	}
}

func (k *conn) readLoop(ctx context.Context) error {
	for {
		if err := k.mute.wait(ctx, k.c.Draining()); err != nil {
			return err
		}
		if err := k.large.wait(ctx, k.c.Draining(), int64(k.g.cfg.InFlightBytesMax)); err != nil {
			return err
		}
		if err := k.c.Await(k.br); err != nil {
			return err
		}
		s := slots.Get().(*slot)
		s.begun = clock.Now()
		k.reading = s
		end, err := k.readRequest(ctx, s)
		if err != nil {
			return err
		}
		k.reading = nil
		k.queue <- s // the writer takes from it until it is closed, whatever happens
		if end {
			return nil
		}
	}
}

// readRequest reads one frame into s and does what must be done in order. end is true when nothing may be read after it.
func (k *conn) readRequest(ctx context.Context, s *slot) (end bool, err error) {
	frame, err := k.readFrame(ctx, s)
	if err != nil {
		return false, err
	}
	if k.login.raw {
		return k.rawToken(ctx, s, frame)
	}
	s.header, s.body, err = wire.DecodeHeader(frame, flexibleHeader)
	if err != nil {
		return false, fmt.Errorf("request header: %w", err)
	}
	s.id = k.c.NextRequest()
	k.rename(s.header.ClientID)
	s.caller = k.caller
	s.op = k.ops[s.header.Key]
	if s.header.Key == keyAPIVersions {
		return false, k.apiVersions(s)
	}
	a := findAPI(s.header.Key)
	if a == nil || s.header.Version < a.min || s.header.Version > a.max {
		return false, fmt.Errorf("request %d version %d is not offered; ApiVersions says what is", s.header.Key, s.header.Version)
	}
	if err := k.expired(s.header.Key); err != nil {
		return false, err
	}
	switch s.header.Key {
	case wire.KeyProduce:
		k.sent = len(frame)
		return false, k.submit(ctx, s)
	case keySaslHandshake:
		return false, k.saslHandshake(s)
	case keySaslAuthenticate:
		return k.saslAuthenticate(ctx, s)
	}
	return false, nil
}

// readFrame reserves memory for the next frame, then reads it. The frame's memory belongs to whoever the slot goes to.
func (k *conn) readFrame(ctx context.Context, s *slot) ([]byte, error) {
	var size [4]byte
	if err := k.c.ReadFull(k.br, size[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 0 || !k.login.raw && n < wire.HeaderBytesMin {
		return nil, fmt.Errorf("a request of %d bytes is too short to be one (is the client set to speak TLS, or something else than Kafka?)", n)
	}
	most, first, factor, err := k.weigh()
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, fmt.Errorf("a request of %d bytes is over the limit of %d (is the client set to speak TLS, or something else than Kafka?)", n, most)
	}
	// Memory follows what has really come: a peer that claims 100 MiB and sends nothing costs the first piece, or twice what it has sent before.
	var frame []byte
	for room := min(n, first); ; room = min(n, 4*room) {
		release, err := k.reserve(ctx, k.caller, room*factor)
		if err != nil {
			return nil, fmt.Errorf("no memory for a request of %d bytes: %w", n, err)
		}
		more := uncleared(room)
		have := copy(more, frame)
		frame = more
		if s.release != nil {
			s.release()
		}
		s.release = release
		if err := k.c.ReadFull(k.br, frame[have:]); err != nil {
			return nil, err
		}
		if room == n {
			if n >= largeBytesMin {
				s.release = k.large.count(int64(n), release)
			}
			return frame, nil
		}
	}
}

// unclearedBytesMin is from where on clearing costs more than the detour around it.
const unclearedBytesMin = 64 << 10

// uncleared is make([]byte, n) for whoever writes over all of it before anybody reads it. A large piece is not zeroed first: a strings.Builder's room is not,
// and is reached through the string that it makes. Clearing was a fifteenth of what producing records of 1 KiB costs the node.
func uncleared(n int) []byte {
	if n < unclearedBytesMin {
		return make([]byte, n)
	}
	var b strings.Builder
	b.Grow(n)
	_ = b.WriteByte(0) // an empty string need not point anywhere
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// First pieces of a request that is read. Almost all are shorter.
const (
	produceBytesFirst = 1 << 20
	otherBytesFirst   = 64 << 10

	believedFactor = 2 // times what the last Produce request had is waited for at once
)

// Bytes of memory that a byte of a request can take once it is decoded, at most, when its sender means to use memory up.
const (
	decodedPerByteProduce = 1 // most of a request that anybody sends is records, which are not decoded
	decodedPerByteFetch   = 6
	decodedPerByteOther   = 48
)

// weigh says how long the request that starts here may be, how much of it may be waited for at once, and how many bytes of memory each
// of its bytes may take.
func (k *conn) weigh() (most, first, factor int, err error) {
	if k.login.raw {
		return k.g.cfg.LoginBytesMax, otherBytesFirst, 1, nil
	}
	if err := k.c.Begun(); err != nil {
		return 0, 0, 0, err
	}
	head, err := k.br.Peek(2)
	if err != nil {
		return 0, 0, 0, noEOF(err)
	}
	most, first = k.g.cfg.OtherBytesMax, otherBytesFirst
	switch int16(binary.BigEndian.Uint16(head)) {
	case wire.KeyProduce:
		// Who has sent as much before is believed: a piece that turns out too small is copied, and is garbage.
		most, first, factor = k.g.cfg.RequestBytesMax, max(produceBytesFirst, believedFactor*k.sent), decodedPerByteProduce
	case wire.KeyFetch:
		factor = decodedPerByteFetch
	default:
		factor = decodedPerByteOther
	}
	if k.caller.Principal == "" && k.g.b.UsersExist() {
		most = min(most, k.g.cfg.LoginBytesMax)
	}
	return most, first, factor, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// How long a connection waits for memory, during which its peer feels only that nothing is read.
const (
	reserveTriesMax = 12
	reservePauseMin = 10 * time.Millisecond
	reservePauseMax = time.Second
)

// reserve asks the broker for memory until there is some.
func (k *conn) reserve(ctx context.Context, caller *broker.Caller, n int) (release func(), err error) {
	for range reserveTriesMax {
		release, err = k.g.b.Reserve(ctx, caller, n)
		if err == nil {
			return release, nil
		}
		f := fault.As(err)
		if f.Retry != fault.Later {
			return nil, err
		}
		pause := time.Duration(f.AfterMS) * time.Millisecond
		if err := clock.Sleep(ctx, min(max(pause, reservePauseMin), reservePauseMax)); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// rename notes what the client calls itself, which it says with every request and hardly ever changes.
func (k *conn) rename(id []byte) {
	if string(id) == k.caller.Client {
		return
	}
	c := *k.caller
	c.Client = string(id[:min(len(id), clientIDBytesMax)])
	k.caller = &c
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// clientIDBytesMax is how much of a client's name is kept.
const clientIDBytesMax = 256

// names keeps the text of stream names, so that a request for the same ones allocates none.
type names struct{ m map[string]string }

// namesMax bounds a connection's memory of names; clients that use more pay with an allocation each time.
const namesMax = 4096

func (n *names) of(b []byte) string {
	if s, ok := n.m[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) > nameBytesKept {
		return s
	}
	if n.m == nil {
		n.m = make(map[string]string)
	}
	if len(n.m) >= namesMax {
		clear(n.m)
	}
	n.m[s] = s
	return s
}

// nameBytesKept: longer ones are no stream's.
const nameBytesKept = record.StreamNameBytesMax
