package gatewaytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"leat/gateway"
)

// samples of what no protocol begins with, and of what others do.
func (s *suite) garbageSamples() [][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	out := [][]byte{
		noise, noise[:7], noise[100:101], make([]byte, 64), bytes.Repeat([]byte{0xff}, 64), bytes.Repeat([]byte{'\n'}, 64),
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		[]byte("AMQP\x00\x00\x09\x01"),
		{0x16, 0x03, 0x01, 0x00, 0x10, 0x01, 0x00, 0x00, 0x0c, 0x03, 0x03}, // the start of a TLS ClientHello
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		append(bytes.Clone(s.kit.Hello), noise...), // a good start
	}
	for i := range 8 { // a request in which one byte is wrong
		spoiled := bytes.Clone(s.kit.Hello)
		spoiled[i*len(spoiled)/8] ^= 0xff
		out = append(out, spoiled)
	}
	return append(out, s.kit.Garbage...)
}

func (s *suite) garbage() {
	r := s.start(opts{})
	for i, g := range s.garbageSamples() {
		c := r.dial()
		_, _ = c.Write(g)                 // the gateway may have hung up in the middle
		_ = c.(*net.TCPConn).CloseWrite() // so that what could go on as a good request ends here
		r.cut(c, patience, fmt.Sprintf("garbage %d (%.16q)", i, g))
		_ = c.Close()
	}
	r.alive()
	r.stop()
}

// cutsMax bounds at how many places Hello is cut.
const cutsMax = 12

func (s *suite) halfFrames() {
	r := s.start(opts{})
	hello := s.kit.Hello
	var silent []net.Conn
	for n := 1; n < len(hello); n += max(1, len(hello)/cutsMax) {
		gone := r.dial()
		_, _ = gone.Write(hello[:n])
		_ = gone.Close()
		c := r.dial()
		_, _ = c.Write(hello[:n])
		silent = append(silent, c)
	}
	r.alive()
	for i, c := range silent {
		r.cut(c, patience, fmt.Sprintf("half a request and then nothing (%d)", i))
	}
	r.stop()
}

func (s *suite) oversize() {
	if len(s.kit.Oversize) == 0 {
		s.Fatal("the kit has no Oversize samples: every protocol has lengths that can lie")
	}
	r := s.start(opts{})
	r.alive()
	for i, o := range s.kit.Oversize {
		before := heap()
		peak := watchHeap()
		c := r.dial()
		_, _ = c.Write(o)
		r.cut(c, patience, fmt.Sprintf("oversize sample %d (%.16q)", i, o))
		if grown := peak() - before; grown > s.kit.MemoryMax {
			s.Errorf("oversize sample %d (%.16q): the heap grew by %d bytes; at most %d", i, o, grown, s.kit.MemoryMax)
		}
	}
	r.alive()
	r.stop()
}

func heap() int64 {
	runtime.GC()
	return inUse()
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// watchHeap samples the heap until the function it returns is called, which returns the most there was.
func watchHeap() (peak func() int64) {
	var most atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most.Store(max(most.Load(), inUse()))
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(done)
		<-ended
		return most.Load()
	}
}

// drips sends a request so slowly that each byte comes in time and the whole does not.
func (s *suite) drips() {
	r := s.start(opts{})
	c := r.dial()
	start := time.Now()
	half := s.kit.Hello[:len(s.kit.Hello)-1]
	for i := 0; time.Since(start) < patience; i++ {
		b := half[min(i, len(half)-1)] // never the last byte: the request never ends
		if i >= len(half) {
			time.Sleep(10 * time.Millisecond)
			if r.counter("leat_gateway_connections") == 0 {
				break
			}
			continue
		}
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(limits().ReadTimeout / 3)
		if r.counter("leat_gateway_connections") == 0 {
			break
		}
	}
	if r.counter("leat_gateway_connections") != 0 {
		s.Errorf("a request that drips in is still waited for after %v; ReadTimeout is %v", time.Since(start), limits().ReadTimeout)
	}
	r.alive()
	r.stop()
}

// unreadMax is how much is sent to a gateway that goes on taking requests whose answers nobody reads.
const unreadMax = 64 << 20

func (s *suite) doesNotRead() {
	r := s.start(opts{shortPipe: true})
	c := r.dial().(*net.TCPConn)
	if err := c.SetReadBuffer(4 << 10); err != nil {
		s.Fatal(err)
	}
	before := heap()
	peak := watchHeap()
	many := bytes.Repeat(s.kit.Hello, max(1, (64<<10)/len(s.kit.Hello)))
	sent := 0
	start := time.Now()
	for sent < unreadMax && time.Since(start) < patience/2 {
		n, err := c.Write(many)
		sent += n
		if err != nil {
			break
		}
	}
	if grown := peak() - before; grown > s.kit.MemoryMax {
		s.Errorf("answers that nobody reads: the heap grew by %d bytes; at most %d", grown, s.kit.MemoryMax)
	}
	if sent < unreadMax {
		r.gone(patience, "a peer that does not read its answers")
	}
	_ = c.Close()
	r.alive()
	r.stop()
}

func (s *suite) idlePeer() {
	r := s.start(opts{limits: func(c *gateway.Config) { c.IdleTimeout = 200 * time.Millisecond }})
	c := r.dial()
	r.cut(c, patience, "a peer that never says anything")
	used := r.dial()
	if err := s.kit.Exchange(used); err != nil {
		s.Errorf("exchange: %v", err)
	}
	r.cut(used, patience, "a peer that stopped asking")
	r.stop()
}

func (s *suite) manyIdle() {
	r := s.start(opts{limits: func(c *gateway.Config) { c.ReadTimeout = patience; c.HandshakeTimeout = patience }})
	r.alive()
	before := heap()
	conns := make([]net.Conn, s.kit.IdleConns)
	for i := range conns {
		conns[i] = r.dial()
	}
	for deadline := time.Now().Add(patience); r.counter("leat_gateway_connections") < float64(len(conns)); {
		if time.Now().After(deadline) {
			s.Fatalf("%v of %d connections are open", r.counter("leat_gateway_connections"), len(conns))
		}
		time.Sleep(time.Millisecond)
	}
	if each := (heap() - before) / int64(len(conns)); each > int64(s.kit.IdleBytesMax) {
		s.Errorf("an idle connection costs %d bytes; at most %d", each, s.kit.IdleBytesMax)
	}
	r.alive()
	for _, c := range conns {
		_ = c.Close()
	}
	r.stop()
}
