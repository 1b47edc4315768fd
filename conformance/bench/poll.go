package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pollEvery    = time.Second
	pollEventsHz = 10 // events a second that are published meanwhile
	ssePieceMax  = 64 << 10
)

// counted is a connection that counts what passes, headers included.
type counted struct {
	net.Conn
	bytes *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}

// audience is what readers have cost and got.
type audience struct {
	client   *http.Client
	base     string
	bytes    atomic.Int64
	requests atomic.Int64
	events   atomic.Int64
}

func newAudience(p *proc, n int) *audience {
	a := &audience{base: "http://" + p.http + "/v1/streams/news/events"}
	a.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: n, MaxIdleConns: n,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return counted{c, &a.bytes}, nil
		},
	}}
	return a
}

func (a *audience) get(ctx context.Context, query, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+query, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	a.requests.Add(1)
	resp, err := a.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return nil, errors.Join(fmt.Errorf("read: %d %s", resp.StatusCode, text), resp.Body.Close())
	}
	return resp, nil
}

// poll asks for what is new once a second; the first time is spread over the second.
func (a *audience) poll(ctx context.Context, delay time.Duration) error {
	next := "latest"
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(pollEvery)
		resp, err := a.get(ctx, "?limit=100&from="+url.QueryEscape(next), "application/json")
		if err != nil {
			return unlessOver(ctx, err)
		}
		var page struct {
			Events []json.RawMessage `json:"events"`
			Next   string            `json:"next"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return unlessOver(ctx, err)
		}
		next = page.Next
		a.events.Add(int64(len(page.Events)))
	}
}

// follow counts what arrives by SSE.
func (a *audience) follow(ctx context.Context, _ time.Duration) error {
	resp, err := a.get(ctx, "?from=latest", "text/event-stream")
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, ssePieceMax)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			a.events.Add(1)
		}
	}
	return unlessOver(ctx, errors.Join(lines.Err(), errors.New("the node ended the stream")))
}

func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// pollOrFollow is what the same readers cost by asking every second and by following. Few events are published meanwhile, as is the rule.
func (b *bench) pollOrFollow(ctx context.Context) error {
	for _, w := range []struct {
		id, work string
		read     func(*audience, context.Context, time.Duration) error
	}{
		{"poll", fmt.Sprintf("%d clients that poll every second, %d events/s, CPU of the node", b.pollers, pollEventsHz), (*audience).poll},
		{"follow", fmt.Sprintf("%d clients that follow by SSE, %d events/s, CPU of the node", b.pollers, pollEventsHz), (*audience).follow},
	} {
		row := b.row(w.id, w.work, "% of a core", "", 0)
		row.less = true
		for range b.pairs {
			a, used, took, err := b.audienceRun(ctx, w.read)
			if err != nil {
				return fmt.Errorf("%s: %w", w.id, err)
			}
			row.Note = fmt.Sprintf("%s requests/s, %s bytes/s, %s deliveries/s", number(float64(a.requests.Load())/took.Seconds()),
				number(float64(a.bytes.Load())/took.Seconds()), number(float64(a.events.Load())/took.Seconds()))
			row.one(100 * used.Seconds() / took.Seconds())
		}
	}
	return nil
}

func (b *bench) audienceRun(ctx context.Context, read func(*audience, context.Context, time.Duration) error) (a *audience, used, took time.Duration, err error) {
	p, err := b.startLeat(ctx, min(b.ring, 256<<20))
	if err != nil {
		return nil, 0, 0, err
	}
	defer func() { _ = p.stop() }()
	a = newAudience(p, b.pollers)
	publish := func() error {
		r, err := http.Post(a.base, "application/json", strings.NewReader(`{"headline":"`+strings.Repeat("x", 100)+`"}`))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r.Body)
		return errors.Join(err, r.Body.Close())
	}
	if err := publish(); err != nil {
		return nil, 0, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	errs := make([]error, b.pollers)
	for i := range b.pollers {
		wg.Go(func() {
			if errs[i] = read(a, ctx, pollEvery*time.Duration(i)/time.Duration(b.pollers)); errs[i] != nil {
				cancel()
			}
		})
	}
	time.Sleep(2 * pollEvery) // all are there
	a.bytes.Store(0)
	a.requests.Store(0)
	a.events.Store(0)
	cpu, began := p.cpu(), time.Now()
	for time.Since(began) < b.workFor && err == nil && ctx.Err() == nil {
		err = publish()
		time.Sleep(time.Second / pollEventsHz)
	}
	took, used = time.Since(began), p.cpu()-cpu
	cancel()
	wg.Wait()
	return a, used, took, errors.Join(append(errs, err)...)
}
