package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
)

// rawRequests sends the same request again and again over conns connections until b.N have been answered.
func rawRequests(b *testing.B, addr, request string, conns int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		wg.Go(func() {
			in := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				if _, err := io.WriteString(c, request); err != nil {
					b.Error(err)
					return
				}
				if err := skipAnswer(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// skipAnswer reads an answer with a Content-Length and demands 2xx.
func skipAnswer(in *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && line[9] != '2' {
			return fmt.Errorf("%s", line)
		}
		first = false
		if len(line) == 2 {
			_, err := in.Discard(length)
			return err
		}
		if len(line) > 16 && strings.EqualFold(string(line[:15]), "content-length:") {
			length = 0
			for _, c := range line[15:] {
				if c >= '0' && c <= '9' {
					length = length*10 + int(c-'0')
				}
			}
		}
	}
}

// BenchmarkEmptyServer is the yardstick: net/http that reads the body and answers 201 with as many bytes.
func BenchmarkEmptyServer(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := []byte(strings.Repeat("x", 110))
	srv := &nethttp.Server{Handler: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(201)
		_, _ = w.Write(answer)
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	rawRequests(b, l.Addr().String(), plainRequest, 64)
}

var plainRequest = "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n" + strings.Repeat("x", 128)

func BenchmarkPublish(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		s := start(b, nil)
		b.ReportAllocs()
		rawRequests(b, s.l.Addr().String(), plainRequest, 64)
	})
	b.Run("binary", func(b *testing.B) {
		s := start(b, nil)
		b.ReportAllocs()
		rawRequests(b, s.l.Addr().String(), "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nLeat-Key: k\r\n"+
			"Content-Type: text/plain\r\nContent-Length: 128\r\n\r\n"+strings.Repeat("x", 128), 64)
	})
	b.Run("batch100", func(b *testing.B) {
		s := start(b, nil)
		one := `{"specversion":"1.0","type":"bench","source":"leat-bench/1","datacontenttype":"text/plain","data":"` + strings.Repeat("x", 128) + `","id":"%08d"},`
		var body strings.Builder
		for i := range 100 {
			fmt.Fprintf(&body, one, i)
		}
		text := "[" + strings.TrimSuffix(body.String(), ",") + "]"
		b.ReportAllocs()
		// Ids differ from request to request, as they would; the digits are at a fixed place.
		var left, made atomic.Int64
		left.Store(int64(b.N))
		var wg sync.WaitGroup
		b.ResetTimer()
		for range 4 {
			c, err := net.Dial("tcp", s.l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			wg.Go(func() {
				in := bufio.NewReader(c)
				request := fmt.Appendf(nil, "POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", mediaBatch, len(text), text)
				var at []int
				for i := range request {
					if strings.HasPrefix(string(request[i:min(i+6, len(request))]), `"id":"`) {
						at = append(at, i+6)
					}
				}
				for left.Add(-1) >= 0 {
					n := made.Add(100)
					for i, p := range at {
						for k, v := 7, n+int64(i); k >= 0; k, v = k-1, v/10 {
							request[p+k] = byte('0' + v%10)
						}
					}
					if _, err := c.Write(request); err != nil {
						b.Error(err)
						return
					}
					if err := skipAnswer(in); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkFanOut has 1,000 followers of one stream; an iteration is one write of so many events, and ends when all followers have it.
func BenchmarkFanOut(b *testing.B) {
	for _, events := range []int{1, 10} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			s := start(b, nil)
			s.fill("a", 1)
			const followers = 1000
			var got atomic.Int64
			done := make(chan struct{}, 1)
			var want atomic.Int64
			for range followers {
				c, err := net.Dial("tcp", s.l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				fmt.Fprint(c, "GET /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
				go func() {
					buf := make([]byte, 16<<10)
					for {
						n, err := c.Read(buf)
						if err != nil {
							return
						}
						if k := strings.Count(string(buf[:n]), "\ndata: "); k > 0 && got.Add(int64(k)) >= want.Load() {
							select {
							case done <- struct{}{}:
							default:
							}
						}
					}
				}()
			}
			for s.metric("leat_http_followers") < followers {
				time.Sleep(5 * time.Millisecond)
			}
			request := plainRequest
			c, err := net.Dial("tcp", s.l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			in := bufio.NewReader(c)
			b.ResetTimer()
			for i := range b.N {
				if events > 1 {
					var body strings.Builder
					for k := range events {
						fmt.Fprintf(&body, `%c{"specversion":"1.0","type":"bench","source":"s","datacontenttype":"text/plain","data":"%s","id":"%d-%d"}`, "[,"[min(k, 1)], strings.Repeat("x", 128), i, k)
					}
					body.WriteByte(']')
					request = fmt.Sprintf("POST /v1/streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", mediaBatch, body.Len(), body.String())
				}
				want.Add(int64(followers * events))
				if _, err := io.WriteString(c, request); err != nil {
					b.Fatal(err)
				}
				if err := skipAnswer(in); err != nil {
					b.Fatal(err)
				}
				for got.Load() < want.Load() {
					<-done
				}
			}
			b.ReportMetric(float64(b.N)*followers*float64(events)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// BenchmarkAppend appends 1,000 events of as many keys at a time, each at its expected version.
func BenchmarkAppend(b *testing.B) {
	const keys = 1000
	s := start(b, nil)
	b.ReportAllocs()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	for conn := range 4 {
		c, err := net.Dial("tcp", s.l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		wg.Go(func() {
			in := bufio.NewReader(c)
			var body []byte
			for version := 0; left.Add(-1) >= 0; version++ {
				body = append(body[:0], `{"events":[`...)
				for k := range keys {
					body = fmt.Appendf(body, `{"stream":"a","partitionkey":"k%d-%d","datacontenttype":"text/plain","data":"xxxxxxxxxxxxxxxx"},`, conn, k)
				}
				body = append(body[:len(body)-1], `],"if":[`...)
				for k := range keys {
					body = fmt.Appendf(body, `{"stream":"a","key":"k%d-%d","version":%d},`, conn, k, version)
				}
				body = append(body[:len(body)-1], `]}`...)
				if _, err := fmt.Fprintf(c, "POST /v1/append HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
					b.Error(err)
					return
				}
				if err := skipAnswer(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)*keys/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReadAppend is the reading of a request of 100 events and as many conditions, without the broker.
func BenchmarkReadAppend(b *testing.B) {
	s := start(b, nil)
	s.fill("leat-bench", 1)
	g := s.g.newServer("http", s.l.Limits(), s.l.Operation)
	body := appendRequest("leat-bench", 100, 128)
	r := httptest.NewRequest("POST", "/v1/append", nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		x := &call{g: g, r: r, began: time.Now()}
		x.body.bytes = body
		var a broker.EventsAppend
		ids, err := x.readAppend(body, &a)
		if err != nil || len(ids) != 100 || len(a.If) != 100 {
			b.Fatal(err)
		}
		x.freeRoom()
	}
}

// appendRequest is what `leat bench append` sends.
func appendRequest(stream string, events, size int) []byte {
	b := []byte(`{"events":[`)
	for i := range events {
		b = fmt.Appendf(b, `{"stream":"%s","partitionkey":"k3-%d","datacontenttype":"text/plain","data":"%s"},`, stream, 100_000+i, strings.Repeat("x", size))
	}
	b = append(b[:len(b)-1], `],"if":[`...)
	for i := range events {
		b = fmt.Appendf(b, `{"stream":"%s","key":"k3-%d","version":%d},`, stream, 100_000+i, i+1)
	}
	return append(b[:len(b)-1], `]}`...)
}

// BenchmarkHook is a delivery of 1 KiB whose key is in the body. It has no id, so that each is stored.
func BenchmarkHook(b *testing.B) {
	s := start(b, nil)
	a := s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"github","stream":"a","secrets":["`+secretForAll+`"],"key":{"pointer":"/repository/full_name"}}`)
	body := `{"action":"opened","text":"` + strings.Repeat("x", 900) + `","repository":{"id":7,"full_name":"octo/hello"}}`
	b.ReportAllocs()
	b.ResetTimer()
	rawRequests(b, s.l.Addr().String(), fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\nX-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n%s",
		a.str("path"), signHex(secretForAll, body), len(body), body), 64)
}
