package outbound

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPump is deliveries a second of 1 KiB to an endpoint on the same machine that answers at once, in the same process: half of the
// work is the receiver's.
func BenchmarkPump(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(204)
	})
	for _, kind := range []string{"http1", "http1-dead-beside", "tls1", "h2"} {
		b.Run(kind, func(b *testing.B) {
			s := httptest.NewUnstartedServer(handler)
			ca := []byte(nil)
			if kind == "tls1" || kind == "h2" {
				s.EnableHTTP2 = kind == "h2"
				s.StartTLS()
				ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
			} else {
				s.Start()
			}
			defer s.Close()
			c := local(b, nil)
			ctx, cancel := context.WithCancel(context.Background())
			var dead sync.WaitGroup
			defer dead.Wait()
			defer cancel()
			if kind == "http1-dead-beside" {
				url := raw(b, func(c net.Conn) { io.Copy(io.Discard, c) })
				for range 10 {
					e := endpoint(b, c, url, nil)
					dead.Go(func() { e.Pump(ctx, count(1_000_000), func(*Request, Result) {}) })
				}
			}
			e := endpoint(b, c, s.URL, func(e *EndpointConfig) { e.CAs = ca })
			body := make([]byte, 1024)
			var delivered atomic.Int64
			n := b.N
			b.ReportAllocs()
			b.ResetTimer()
			err := e.Pump(ctx, func(context.Context) (*Request, error) {
				if n--; n < 0 {
					return nil, io.EOF
				}
				return &Request{Body: body, Header: http.Header{
					"Content-Type": {"application/json"}, "Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {"1"}, "Webhook-Signature": {"v1,x"},
				}}, nil
			}, func(_ *Request, r Result) {
				if r.Outcome == Delivered {
					delivered.Add(1)
				}
			})
			b.StopTimer()
			if err != nil || delivered.Load() != int64(b.N) {
				b.Fatalf("%v, %d of %d", err, delivered.Load(), b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}
