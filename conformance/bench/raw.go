package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// rawBodyMax is the longest answer that is read.
const rawBodyMax = 64 << 20

// rawHTTP is one keep-alive connection that sends ready-made requests and reads no more of an answer than it must: what is measured is the node
// and not net/http's client. One goroutine uses it.
type rawHTTP struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
	stop func() bool
}

func dialHTTP(ctx context.Context, p *proc) (*rawHTTP, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.http)
	if err != nil {
		return nil, err
	}
	r := &rawHTTP{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	r.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends a read that waits
	return r, nil
}

func (r *rawHTTP) close() {
	r.stop()
	_ = r.conn.Close()
}

func getRequest(p *proc, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + p.http + "\r\nAccept: application/json\r\n\r\n")
}

// do sends a request and returns the body of the answer, which is good until the next call. Anything but 200 is an error.
func (r *rawHTTP) do(request []byte) ([]byte, error) {
	if _, err := r.conn.Write(request); err != nil {
		return nil, err
	}
	status, err := r.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200"))
	said := ""
	if !ok {
		said = string(status)
	}
	length, chunked, err := r.headers()
	if err != nil {
		return nil, err
	}
	if err := r.read(length, chunked); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %.500s", strings.TrimSpace(said), r.body)
	}
	return r.body, nil
}

func (r *rawHTTP) headers() (length int, chunked bool, err error) {
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !ok {
			return length, chunked, nil // the empty line
		}
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked"))
		}
	}
}

func (r *rawHTTP) read(length int, chunked bool) error {
	r.body = r.body[:0]
	if !chunked {
		return r.take(length)
	}
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk: %w", err)
		}
		if err := r.take(int(n)); err != nil {
			return err
		}
		if _, err := r.in.Discard(2); err != nil || n == 0 { // the line end of the chunk
			return err
		}
	}
}

func (r *rawHTTP) take(n int) error {
	at := len(r.body)
	if n < 0 || at+n > rawBodyMax {
		return fmt.Errorf("an answer of more than %d bytes", rawBodyMax)
	}
	if cap(r.body) < at+n {
		r.body = append(make([]byte, 0, 2*(at+n)), r.body...)
	}
	r.body = r.body[:at+n]
	_, err := io.ReadFull(r.in, r.body[at:])
	return err
}
