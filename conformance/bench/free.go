package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
)

// A broker that costs nothing: how fast a client could read if there were no more to a fetch than the system call that sends the answer. It stands between a
// client and a node, passes on what both say, and keeps the answers to fetch requests in a file; who asks the same again gets them from there, by sendfile. It
// is a process of its own, as brokers are.
//
//	client ── Metadata, ListOffsets, first Fetch of its kind ──► free ──► node
//	       ── Fetch that was asked before ─────────────────────► free         its file ──► client
//
// No broker can be read faster by the same client, but by answers of another shape. So it tells whether a goal can be reached at all.

// freeFlag makes the program such a broker: -free LISTEN,NODE.
const freeFlag = "free"

// freeFrameMax is how long a frame may be that passes through.
const freeFrameMax = 64 << 20

// freeAnswerMin is how long an answer to Fetch is at least to be kept: those that say that nothing came are not.
const freeAnswerMin = 4 << 10

const (
	keyFetch         = 1
	correlationAt    = 4      // in a request: key int16, version int16, correlation id int32
	correlationBytes = 4      // in an answer it comes first
	freeCongestion   = "reno" // as Leat has it within a machine
)

// startFree starts one in front of a node.
func (b *bench) startFree(ctx context.Context, node *proc) (*proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &proc{}
	dir, err := b.place(&p.kafka)
	if err != nil {
		return nil, err
	}
	return launch(ctx, "a broker that costs nothing", dir, func(p *proc) bool { return opens(p.kafka) }, p, self, "-"+freeFlag, p.kafka+","+node.kafka)
}

type freeBroker struct {
	node string
	file *os.File

	mu      sync.Mutex
	end     int64
	answers map[string]answerAt // by request, without its correlation id
}

// answerAt is where an answer lies, without its correlation id.
type answerAt struct{ off, n int64 }

// serveFree runs until it is killed.
func serveFree(what string) error {
	listen, node, ok := strings.Cut(what, ",")
	if !ok {
		return fmt.Errorf("-%s %q: want LISTEN,NODE", freeFlag, what)
	}
	file, err := os.Create("answers")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	f := &freeBroker{node: node, file: file, answers: map[string]answerAt{}}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := f.serve(c.(*net.TCPConn)); err != nil && !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "free:", err)
			}
		}()
	}
}

func (f *freeBroker) serve(c *net.TCPConn) error {
	defer func() { _ = c.Close() }()
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, freeCongestion)
		})
	}
	up, err := net.Dial("tcp", f.node)
	if err != nil {
		return err
	}
	defer func() { _ = up.Close() }()
	file, err := os.Open(f.file.Name()) // its own: sendfile goes by the place in a file
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for {
		request, err := readFrame(c)
		if err != nil {
			return err
		}
		if len(request) < correlationAt+correlationBytes {
			return io.ErrUnexpectedEOF
		}
		id := request[correlationAt : correlationAt+correlationBytes]
		isFetch := binary.BigEndian.Uint16(request) == keyFetch
		key := string(request[:correlationAt]) + string(request[correlationAt+correlationBytes:])
		if isFetch {
			f.mu.Lock()
			at, known := f.answers[key]
			f.mu.Unlock()
			if known {
				if err := send(c, file, id, at); err != nil {
					return err
				}
				continue
			}
		}
		if err := writeFrame(up, request); err != nil {
			return err
		}
		answer, err := readFrame(up)
		if err != nil {
			return err
		}
		if isFetch && len(answer) >= freeAnswerMin {
			if err := f.keep(key, answer[correlationBytes:]); err != nil {
				return err
			}
		}
		if err := writeFrame(c, answer); err != nil {
			return err
		}
	}
}

func (f *freeBroker) keep(key string, answer []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.WriteAt(answer, f.end); err != nil {
		return err
	}
	f.answers[key] = answerAt{f.end, int64(len(answer))}
	f.end += int64(len(answer))
	return nil
}

// send answers from the file.
func send(c *net.TCPConn, file *os.File, id []byte, at answerAt) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(correlationBytes+at.n))
	if _, err := c.Write(append(head, id...)); err != nil {
		return err
	}
	if _, err := file.Seek(at.off, io.SeekStart); err != nil {
		return err
	}
	_, err := c.ReadFrom(io.LimitReader(file, at.n)) // sendfile
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > freeFrameMax {
		return nil, fmt.Errorf("a frame of %d bytes; at most %d pass through", n, freeFrameMax)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

func writeFrame(w io.Writer, frame []byte) error {
	_, err := (&net.Buffers{binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame}).WriteTo(w)
	return err
}
