package aws

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/gatewaytest"
)

const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"

func request(action, body string, more ...string) string {
	return fmt.Sprintf("%sX-Amz-Target: AmazonSQS.%s\r\n%sContent-Length: %d\r\n\r\n%s", head, action, strings.Join(more, ""), len(body), body)
}

func TestGateway(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Kit{
		New: func(t *testing.T, users bool) gateway.Gateway {
			b := newBroker(t)
			if users {
				_, err := b.PutUser(context.Background(), &broker.Caller{}, broker.User{
					Name: "root", Password: "open-sesame", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.CreateStream(context.Background(), &broker.Caller{Principal: "root"}, "warm", broker.StreamConfig{Partitions: 1}); err != nil {
				t.Fatal(err)
			}
			g, err := New(b, Default(), nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return g
		},
		Hello: []byte(request("ListQueues", "{}")),
		Exchange: func(c net.Conn) error {
			if err := trip(c, 200, request("CreateQueue", `{"QueueName":"a"}`)); err != nil {
				return err
			}
			return trip(c, 200, request("SendMessage", `{"QueueUrl":"a","MessageBody":"hi"}`))
		},
		Login: func(c net.Conn, good bool) error {
			password := "wrong"
			if good {
				password = "open-sesame"
			}
			err := trip(c, 200, request("ListQueues", "{}", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("root:"+password))+"\r\n"))
			if err != nil && strings.HasPrefix(err.Error(), "403 ") {
				return fmt.Errorf("%w: %w", gatewaytest.ErrRefused, err)
			}
			return err
		},
		Garbage: [][]byte{
			[]byte(request("SendMessage", `{"QueueUrl":`)), []byte(request("Nothing", `{}`)), []byte(head + "Content-Length: x\r\n\r\n"),
			[]byte("GET /?Action=%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"), []byte("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
		},
		Oversize: [][]byte{
			[]byte(head + "Content-Length: 99999999999\r\n\r\n"), []byte(head + "Transfer-Encoding: chunked\r\n\r\n7ffffffffffffff\r\n"),
			[]byte(head + "X: " + strings.Repeat("x", 1<<20)),
		},
	})
}

func trip(c net.Conn, want int, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		return fmt.Errorf("%d %s", res.StatusCode, b)
	}
	return err
}
