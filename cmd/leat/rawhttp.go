package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// rawConn is one keep-alive connection of a benchmark. It writes requests that are ready-made bytes and reads no more of an answer than it
// must, so that what is measured is the node and not net/http's client. One goroutine uses it.
type rawConn struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
	stop func() bool
}

// dialRaw connects to the node. The connection is closed when ctx ends, which also ends a read that waits.
func dialRaw(ctx context.Context, c *client, bufferBytes int) (*rawConn, error) {
	u, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		t := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = t
	}
	r := &rawConn{conn: conn, in: bufio.NewReaderSize(conn, bufferBytes)}
	r.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // nobody waits for the answer any more
	return r, nil
}

func (r *rawConn) close() {
	r.stop()
	_ = r.conn.Close() // a benchmark's connection has nothing to lose
}

// rawHead is a request up to and with the empty line. Without a body, length is negative.
func rawHead(c *client, method, path, contentType string, length int, more ...string) []byte {
	u, _ := url.Parse(c.base) // it was parsed when c was made
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: leat-bench/%s\r\n", method, strings.TrimRight(u.Path, "/"), path, u.Host, version)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", contentType)
	}
	if length >= 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", length)
	}
	if c.auth != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", c.auth)
	}
	if c.ns != "" {
		fmt.Fprintf(&b, "Leat-Namespace: %s\r\n", c.ns)
	}
	for _, m := range more {
		b.WriteString(m + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// do sends a whole request and reads the answer. The body is good until the next call. An answer that is no 2xx is a *problem.
func (r *rawConn) do(request ...[]byte) ([]byte, error) {
	bufs := net.Buffers(request)
	if _, err := bufs.WriteTo(r.conn); err != nil {
		return nil, err
	}
	status, length, chunked, err := r.head()
	if err != nil {
		return nil, err
	}
	if err := r.read(length, chunked); err != nil {
		return nil, err
	}
	if status/100 != 2 {
		return nil, readProblem(&http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(r.body))})
	}
	return r.body, nil
}

// head reads the status line and the two headers that say how long the body is. length is -1 where none is said.
func (r *rawConn) head() (status, length int, chunked bool, err error) {
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, false, fmt.Errorf("what answers does not speak HTTP/1.1: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, false, fmt.Errorf("no status in %q", line)
	}
	length = -1
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return status, length, chunked, nil
		}
		if v, ok := headerValue(line, "content-length"); ok {
			if length, err = strconv.Atoi(string(v)); err != nil || length < 0 || length > answerBytesMax {
				return 0, 0, false, fmt.Errorf("content length %q", v)
			}
		} else if v, ok := headerValue(line, "transfer-encoding"); ok {
			chunked = bytes.EqualFold(v, []byte("chunked"))
		}
	}
}

func headerValue(line []byte, name string) ([]byte, bool) {
	if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
		return bytes.TrimSpace(line[len(name)+1:]), true
	}
	return nil, false
}

// read takes the body into r.body.
func (r *rawConn) read(length int, chunked bool) error {
	r.body = r.body[:0]
	if !chunked {
		return r.take(max(length, 0))
	}
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil || len(r.body)+int(n) > answerBytesMax {
			return fmt.Errorf("chunk of %q bytes", size)
		}
		if err := r.take(int(n)); err != nil {
			return err
		}
		if _, err := r.in.Discard(2); err != nil { // the line end after a chunk; for the last one, the empty line (no trailers are asked for)
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// take appends n bytes to r.body.
func (r *rawConn) take(n int) error {
	at := len(r.body)
	if cap(r.body) < at+n {
		r.body = append(make([]byte, 0, at+n), r.body...)
	}
	r.body = r.body[:at+n]
	_, err := io.ReadFull(r.in, r.body[at:])
	return err
}
