package aws

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/gateway"
	"leat/gateway/aws/wire"
)

// dial is a connection of its own.
func (s *served) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// askOn writes a receive as an attempt of an SDK's; 0: of a client that does not count them.
func (s *served) askOn(c net.Conn, url, id string, attempt int) {
	s.t.Helper()
	body := wire.ReceiveMessage.AppendRequest(nil, wire.JSON, &wire.ReceiveMessageInput{
		QueueURL: url, MaxMessages: wire.Some(int64(10)), SystemAttributeNames: []string{"All"},
	})
	head := "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Type: application/x-amz-json-1.0\r\n"
	if attempt > 0 {
		head += fmt.Sprintf("Amz-Sdk-Invocation-Id: %s\r\nAmz-Sdk-Request: attempt=%d; max=3\r\n", id, attempt)
	}
	if _, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body); err != nil {
		s.t.Fatal(err)
	}
}

// attemptOn receives by a connection.
func (s *served) attemptOn(c net.Conn, url, id string, attempt int) []map[string]any {
	s.t.Helper()
	s.askOn(c, url, id, attempt)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	var answer struct{ Messages []map[string]any }
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	if err != nil || res.StatusCode != http.StatusOK || res.ContentLength != int64(len(b)) {
		s.t.Fatalf("%s %s: %v", res.Status, b, err)
	}
	return answer.Messages
}

// What an attempt of an SDK's was handed the next one is handed, when the answer may have been lost. It is not counted.
func TestAttempt_TheNextOneHasWhatWasLost(t *testing.T) {
	s := start(t)
	for name, url := range map[string]string{"FIFO": s.queue("orders.fifo", "FifoQueue", "true"), "standard": s.queue("orders")} {
		if name == "FIFO" {
			s.sendTogether(url, "a0", "a1", "b0")
		} else {
			s.send(url, "a0")
		}
		want := bodies(s.attemptOn(s.dial(), url, name, 1))
		if len(want) == 0 {
			t.Fatalf("%s: nothing came", name)
		}
		s.none(url)
		if got := s.attemptOn(s.dial(), url, "another", 2); len(got) != 0 {
			t.Errorf("%s: another call got %v", name, bodies(got))
		}
		if got := s.attemptOn(s.dial(), url, name, 1); len(got) != 0 {
			t.Errorf("%s: no later attempt got %v", name, bodies(got))
		}
		for attempt := 2; attempt < 4; attempt++ {
			ms := s.attemptOn(s.dial(), url, name, attempt)
			if fmt.Sprint(bodies(ms)) != fmt.Sprint(want) || text(ms[0], "Attributes", "ApproximateReceiveCount") != "1" {
				t.Errorf("%s: attempt %d: %v; want %v", name, attempt, ms, want)
			}
		}
		s.none(url)
	}
}

// Who asks for more by the same connection has read the answer: what was handed to him is his.
func TestAttempt_WhatWasReadStaysHandedOut(t *testing.T) {
	s := start(t)
	url, c := s.queue("orders"), s.dial()
	s.send(url, "x")
	if got := bodies(s.attemptOn(c, url, "one", 1)); len(got) != 1 {
		t.Fatalf("%v", got)
	}
	if got := s.attemptOn(c, url, "two", 1); len(got) != 0 {
		t.Fatalf("%v", bodies(got))
	}
	if got := s.attemptOn(s.dial(), url, "one", 2); len(got) != 0 {
		t.Errorf("a call that was answered, once more: %v", bodies(got))
	}
}

// goneWriter is the answer to a client who has gone, which is seen by its Write or, where that is buffered, by its Flush.
type goneWriter struct {
	header http.Header
	writes bool
}

func (w *goneWriter) Header() http.Header { return w.header }
func (w *goneWriter) WriteHeader(int)     {}

func (w *goneWriter) Write(p []byte) (int, error) {
	if w.writes {
		return len(p), nil
	}
	return 0, syscall.EPIPE
}

func (w *goneWriter) FlushError() error { return syscall.ECONNRESET }

// What was to be received and could not be written can be received at once.
func TestAttempt_AnAnswerThatCannotBeWritten(t *testing.T) {
	s := start(t)
	l := gateway.Wrap(nil, gateway.Options{Name: "aws", Protocol: protocolName, Limits: gateway.Default()})
	g := &server{Gateway: s.gateway, listener: "aws", limits: l.Limits(), polls: t.Context(), other: l.Operation("other")}
	url := s.queue("orders", "VisibilityTimeout", "43200")
	s.send(url, "x")
	in := wire.ReceiveMessage.AppendRequest(nil, wire.JSON, &wire.ReceiveMessageInput{QueueURL: url, WaitTimeSeconds: wire.Some(int64(20))})
	for _, writes := range []bool{false, true} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.url, bytes.NewReader(in))
		r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
		g.ServeHTTP(&goneWriter{http.Header{}, writes}, r)
	}
	if ms := s.receive(url); len(ms) != 1 || text(ms[0], "Attributes", "ApproximateReceiveCount") != "1" {
		t.Errorf("%v", ms)
	}
}

func TestNotes_AnEarlierAttemptThatEndsLate(t *testing.T) {
	var n notes
	k := invocation{queue: "q", id: "x"}
	if hs := n.begin(k, 2); len(hs) != 0 {
		t.Errorf("before the second: %v", hs)
	}
	if n.end(k, 1, nil) {
		t.Error("the first ended after the second had begun")
	}
	n.drop(k, 1)
	if !n.end(k, 2, nil) || n.end(k, 1, nil) {
		t.Error("the second is noted")
	}
	n.drop(k, 2)
	if !n.end(k, 1, nil) {
		t.Error("what was dropped is not there")
	}
	for i := range 5 * notesKeptMax {
		n.end(invocation{id: fmt.Sprint(i)}, 1, nil)
	}
	if kept := len(n.young) + len(n.old); kept > 2*notesKeptMax {
		t.Errorf("%d notes are kept", kept)
	}
}
