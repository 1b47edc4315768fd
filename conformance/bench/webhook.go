package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// webhookGroup names all that is about webhooks out.
const webhookGroup = "webhooks"

func webhookWorks() []work {
	nothing := func(*bench) string { return "" }
	return []work{{webhookGroup, "events handed to endpoints as webhooks", nothing, (*bench).webhooks}}
}

const (
	webhookEventBytes = 1024
	webhookBatch      = 500
	webhookDead       = 4 // endpoints beside that take connections and never answer
)

// webhooks is one subscription that pushes what waits, 1 KiB each, signed, to an endpoint that answers at once; alone, and beside endpoints that are
// dead. The endpoint shares the machine's cores with the node.
func (b *bench) webhooks(ctx context.Context) error {
	events := 200_000
	if b.quick {
		events = 5_000
	}
	row := b.row("webhooks", fmt.Sprintf("webhooks out, 1 KiB, binary, signed, 32 at once, beside %d dead endpoints", webhookDead), "deliveries/s", "the same alone", 0)
	row.Least = 10_000
	for i := range b.pairs {
		var values [2]float64
		for k := range 2 {
			side := (i + k) % 2
			dead := 0
			if side == 0 {
				dead = webhookDead
			}
			v, err := b.webhookRun(ctx, events, dead)
			if err != nil {
				return err
			}
			values[side] = v
		}
		row.add(values[0], values[1])
	}
	return nil
}

// webhookRun is how many deliveries a second the endpoint took.
func (b *bench) webhookRun(ctx context.Context, events, dead int) (rate float64, err error) {
	good, err := newWebhookReceiver(true)
	if err != nil {
		return 0, err
	}
	defer good.close()
	bad, err := newWebhookReceiver(false)
	if err != nil {
		return 0, err
	}
	defer bad.close()
	return withNode(ctx, b, "outbound:\n  allow: [127.0.0.1]\n", func(p *proc) (float64, error) {
		api := webhookAPI{"http://" + p.http}
		if err := api.do(ctx, "PUT", "/v1/streams/orders", "application/json", []byte("{}")); err != nil {
			return 0, err
		}
		put := func(name, url string, suspended bool) error {
			return api.do(ctx, "PUT", "/v1/subscriptions/"+name, "application/json", fmt.Appendf(nil,
				`{"streams":["orders"],"suspended":%t,"push":{"url":%q,"new_secret":true,"timeout_ms":5000}}`, suspended, url))
		}
		if err := put("good", good.url, true); err != nil {
			return 0, err
		}
		for i := range dead {
			if err := put(fmt.Sprint("dead", i), bad.url, false); err != nil {
				return 0, err
			}
		}
		for sent := 0; sent < events; sent += webhookBatch {
			if err := api.do(ctx, "POST", "/v1/streams/orders/events", "application/cloudevents-batch+json", webhookEvents(sent)); err != nil {
				return 0, err
			}
		}
		began := time.Now()
		if err := api.do(ctx, "POST", "/v1/subscriptions/good/resume", "application/json", nil); err != nil {
			return 0, err
		}
		for good.count.Load() < int64(events) {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			if time.Since(began) > 5*time.Minute {
				return 0, fmt.Errorf("%d of %d deliveries after %v", good.count.Load(), events, time.Since(began))
			}
			time.Sleep(5 * time.Millisecond)
		}
		return float64(events) / time.Since(began).Seconds(), nil
	})
}

func withNode(ctx context.Context, b *bench, config string, f func(p *proc) (float64, error)) (float64, error) {
	was := b.config
	b.config += config
	defer func() { b.config = was }()
	p, err := b.startLeat(ctx, min(b.ring, 1<<30))
	if err != nil {
		return 0, err
	}
	v, err := f(p)
	return v, errors.Join(err, p.stop())
}

type webhookAPI struct{ base string }

func (a webhookAPI) do(ctx context.Context, method, path, media string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text[:min(len(text), 1000)])
	}
	return err
}

func webhookEvents(from int) []byte {
	data := `{"x":"` + strings.Repeat("x", webhookEventBytes) + `"}`
	b := []byte{'['}
	for i := range webhookBatch {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"specversion":"1.0","id":"%d","source":"/shop","type":"order.placed","datacontenttype":"application/json","data":%s}`, from+i, data)
	}
	return append(b, ']')
}

// webhookReceiver is the cheapest endpoint there can be: it reads requests from raw connections and answers 204, or takes connections and says nothing.
type webhookReceiver struct {
	url     string
	answers bool
	count   atomic.Int64
	l       net.Listener
	mu      sync.Mutex
	conns   []net.Conn
}

func newWebhookReceiver(answers bool) (*webhookReceiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &webhookReceiver{url: "http://" + l.Addr().String() + "/hook", answers: answers, l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			go r.serve(c)
		}
	}()
	return r, nil
}

func (r *webhookReceiver) serve(c net.Conn) {
	if !r.answers {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	in := bufio.NewReaderSize(c, 16<<10)
	for {
		length, err := requestLength(in)
		if err != nil {
			return
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		r.count.Add(1)
		if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

// requestLength reads the head of a request and returns the length of its body.
func requestLength(in *bufio.Reader) (n int, err error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			return n, nil
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("content-length")) {
			n = 0
			for _, c := range bytes.TrimSpace(value) {
				n = 10*n + int(c-'0')
			}
		}
	}
}

func (r *webhookReceiver) close() {
	_ = r.l.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}
