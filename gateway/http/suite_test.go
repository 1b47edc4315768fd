package http

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway"
	"leat/gateway/gatewaytest"
)

func TestGateway(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Kit{
		New: func(t *testing.T, users bool) gateway.Gateway {
			b := newBroker(t, 1)
			if users {
				_, err := b.PutUser(context.Background(), &broker.Caller{}, broker.User{
					Name: "root", Password: "open-sesame", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			warm(t, b)
			g, err := New(b, Default(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return g
		},
		Hello: []byte("GET /v1/streams HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		Exchange: func(c net.Conn) error {
			if err := roundTrip(c, 201, "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
				return err
			}
			return roundTrip(c, 200, "GET /v1/streams/a/events?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		},
		Login: func(c net.Conn, good bool) error {
			password := "wrong"
			if good {
				password = "open-sesame"
			}
			return refusedBy(401, roundTrip(c, 200, "GET /v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic "+
				base64.StdEncoding.EncodeToString([]byte("root:"+password))+"\r\n\r\n"))
		},
		Long: func(c net.Conn, sent func()) error {
			if _, err := io.WriteString(c, "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab"); err != nil {
				return err
			}
			sent()
			time.Sleep(150 * time.Millisecond)
			return roundTrip(c, 201, "cd")
		},
		Garbage: [][]byte{
			[]byte("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"),
			[]byte("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
			[]byte("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
			[]byte("POST /v1/append HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n" + strings.Repeat("[", 20)),
			[]byte("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
			[]byte("GET /v1/streams HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
		},
		Oversize: [][]byte{
			[]byte("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"),
			[]byte("POST /v1/append HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7ffffffffffffff\r\n"),
			[]byte("GET /v1/streams HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<20)),
			[]byte("GET /" + strings.Repeat("x", 1<<20)),
		},
		Abilities: []gatewaytest.Ability{
			{Name: "structured CloudEvents", Offered: true, Try: posts(mediaEvent, event("1", "t", "", "1"))},
			{Name: "batched CloudEvents", Offered: true, Try: posts(mediaBatch, "["+event("2", "t", "", "1")+"]")},
			{Name: "avro CloudEvents", Try: posts("application/cloudevents+avro", "x")},
			{Name: "compressed bodies", Try: func(c net.Conn) error {
				return refusedBy(415, roundTrip(c, 201, "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"))
			}},
			{Name: "foreign hosts", Try: func(c net.Conn) error {
				return refusedBy(403, roundTrip(c, 200, "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
			}},
		},
	})
}

// warm appends once, so that whatever the broker starts has been started before the suite counts goroutines.
func warm(t *testing.T, b *broker.Broker) {
	t.Helper()
	_, err := b.AppendEvents(context.Background(), &broker.Caller{Principal: "root"}, broker.EventsAppend{
		Events: []broker.EventEntry{{Stream: "warm", Partition: record.NoPartition}}, AutoCreate: true,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// statusError is an answer that was not the one wanted.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.body) }

// refusedBy makes a refusal of the suite of the status that is one.
func refusedBy(code int, err error) error {
	if e, ok := err.(*statusError); ok && e.code == code {
		return fmt.Errorf("%w: %s", gatewaytest.ErrRefused, e.body)
	}
	return err
}

func posts(contentType, body string) func(net.Conn) error {
	return func(c net.Conn) error {
		return refusedBy(415, roundTrip(c, 201, fmt.Sprintf("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			contentType, len(body), body)))
	}
}

// roundTrip sends what is given and reads one answer.
func roundTrip(c net.Conn, want int, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	res, err := nethttp.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return &statusError{res.StatusCode, string(b)}
	}
	return nil
}
