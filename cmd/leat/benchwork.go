package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"leat/internal/clock"
)

const (
	rawBufferBytes    = 16 << 10
	followBufferBytes = 32 << 10
	// A stamp in an event's data is when it was sent: @t= and 19 digits of Unix time in nanoseconds.
	stampMark  = "@t="
	stampBytes = len(stampMark) + 19
	idDigits   = 16
	// settle is how long followers are given to take what is still on its way when the publisher stops.
	settle = 2 * time.Second
)

// each runs f on n connections until time is over or one fails, and adds up what they measured.
func each(ctx context.Context, c *client, n int, duration time.Duration, f func(ctx context.Context, i int, r *rawConn, m *measured) error) (measured, error) {
	conns := make([]*rawConn, n)
	defer func() {
		for _, r := range conns {
			if r != nil {
				r.close()
			}
		}
	}()
	for i := range conns { // all are open before the first request
		var err error
		if conns[i], err = dialRaw(ctx, c, rawBufferBytes); err != nil {
			return measured{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	parts, errs := make([]measured, n), make([]error, n)
	start := clock.Now()
	var wg sync.WaitGroup
	for i, r := range conns {
		wg.Go(func() {
			parts[i].latency = &histogram{}
			if errs[i] = f(ctx, i, r, &parts[i]); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	total := measured{latency: &histogram{}, seconds: clock.Since(start).Seconds()}
	for _, p := range parts {
		total.events += p.events
		total.requests += p.requests
		total.latency.merge(p.latency)
	}
	return total, errors.Join(errs...)
}

// benchPublish sends plain bodies one by one, or batches of CloudEvents.
func benchPublish(ctx context.Context, c *client, stream string, o benchOptions) (measured, error) {
	return each(ctx, c, o.connections, o.duration, func(ctx context.Context, i int, r *rawConn, m *measured) error {
		body, ids, kind := publishBody(o, i)
		head := rawHead(c, "POST", streamPath(stream)+"/events", kind, len(body))
		next := uint64(0)
		for ctx.Err() == nil {
			for _, at := range ids {
				putDigits(body[at:at+idDigits], next)
				next++
			}
			start := clock.Now()
			if _, err := r.do(head, body); err != nil {
				return err
			}
			m.latency.add(int64(clock.Since(start)))
			m.requests++
			m.events += uint64(o.batch)
		}
		return nil
	})
}

// publishBody is the body of one request, and where in it the ids are that must differ: the same id again would be the same event.
func publishBody(o benchOptions, conn int) (body []byte, ids []int, kind string) {
	data := strings.Repeat("x", o.size)
	if o.batch == 1 {
		return []byte(data), nil, "text/plain"
	}
	var b bytes.Buffer
	for i := range o.batch {
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(`{"specversion":"1.0","type":"bench","source":"leat-bench/` + strconv.Itoa(conn) + `","id":"`)
		ids = append(ids, b.Len())
		b.WriteString(strings.Repeat("0", idDigits) + `","datacontenttype":"text/plain","data":"` + data + `"}`)
	}
	b.WriteByte(']')
	return b.Bytes(), ids, "application/cloudevents-batch+json"
}

// putDigits writes n in decimal, with zeros before it.
func putDigits(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

// benchFollow has followers count what one publisher sends. An event carries when it was sent; a delivery's latency is taken for the first
// event of each piece that arrives, the oldest in it.
func benchFollow(ctx context.Context, c *client, stream string, o benchOptions) (measured, error) {
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	var wg sync.WaitGroup
	var delivered atomic.Uint64
	parts := make([]*histogram, o.followers)
	errs := make([]error, o.followers)
	for i := range o.followers {
		r, err := dialRaw(reading, c, followBufferBytes)
		if err == nil {
			err = r.startFollowing(c, stream)
		}
		if err != nil {
			stopReading()
			wg.Wait()
			return measured{}, fmt.Errorf("follower %d: %w", i, err)
		}
		parts[i] = &histogram{}
		wg.Go(func() {
			defer r.close()
			if err := r.countEvents(&delivered, parts[i]); reading.Err() == nil {
				errs[i] = err
			}
		})
	}
	start := clock.Now()
	sent, requests, err := publishStamped(ctx, c, stream, o, &delivered)
	for end := clock.Now().Add(settle); err == nil && delivered.Load() < sent*uint64(o.followers) && clock.Now().Before(end); {
		err = clock.Sleep(ctx, time.Millisecond)
	}
	seconds := clock.Since(start).Seconds()
	stopReading()
	wg.Wait()
	m := measured{events: delivered.Load(), requests: requests, seconds: seconds, latency: &histogram{}}
	for _, h := range parts {
		m.latency.merge(h)
	}
	if missing := sent*uint64(o.followers) - m.events; err == nil && missing > 0 && errors.Join(errs...) == nil {
		err = fmt.Errorf("%d of %d deliveries did not arrive within %v of the last publish", missing, sent*uint64(o.followers), settle)
	}
	return m, errors.Join(errors.Join(errs...), err)
}

// startFollowing asks for server-sent events and waits until they have begun.
func (r *rawConn) startFollowing(c *client, stream string) error {
	path := eventsPath(stream, url.Values{"from": {"latest"}})
	if _, err := r.conn.Write(rawHead(c, "GET", path, "", -1, "Accept: text/event-stream")); err != nil {
		return err
	}
	status, length, chunked, err := r.head()
	if err != nil {
		return err
	}
	if status != 200 {
		if err := r.read(length, chunked); err != nil {
			return err
		}
		return fmt.Errorf("answered %d: %s", status, r.body)
	}
	return nil
}

// countEvents reads until the connection ends. It looks at the bytes no closer than it must: an event is a stamp.
func (r *rawConn) countEvents(delivered *atomic.Uint64, h *histogram) error {
	mark := []byte(stampMark)
	buf := make([]byte, followBufferBytes)
	kept := 0 // bytes of a stamp that was cut off, at the start of buf
	for {
		n, err := r.in.Read(buf[kept:])
		if n > 0 {
			now := clock.Now().UnixNano()
			piece := buf[:kept+n]
			count, rest := uint64(0), piece
			for {
				at := bytes.Index(rest, mark)
				if at < 0 {
					rest = rest[max(0, len(rest)-len(mark)+1):]
					break
				}
				if len(rest)-at < stampBytes {
					rest = rest[at:]
					break
				}
				if count == 0 {
					if sent, err := strconv.ParseInt(string(rest[at+len(mark):at+stampBytes]), 10, 64); err == nil {
						h.add(now - sent)
					}
				}
				count++
				rest = rest[at+stampBytes:]
			}
			delivered.Add(count)
			kept = copy(buf, rest)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the node ended the stream")
			}
			return err
		}
	}
}

// publishStamped publishes until time is over. Without a rate it never runs further ahead of the slowest average follower than
// aheadEvents, so that what is measured is delivery and not a growing backlog.
func publishStamped(ctx context.Context, c *client, stream string, o benchOptions, delivered *atomic.Uint64) (sent, requests uint64, err error) {
	const aheadEvents = 1024
	r, err := dialRaw(ctx, c, rawBufferBytes)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	body, ids, kind := publishBody(o, 0)
	head := rawHead(c, "POST", streamPath(stream)+"/events", kind, len(body))
	var stamps []int
	for from := 0; ; { // the stamp goes to the start of each event's data
		i := bytes.Index(body[from:], bytes.Repeat([]byte("x"), stampBytes))
		if i < 0 {
			break
		}
		at := from + i
		copy(body[at:], stampMark)
		stamps = append(stamps, at+len(stampMark))
		if o.batch == 1 {
			break
		}
		from = at + o.size + 1
	}
	limit := rate.NewLimiter(rate.Inf, 1)
	if o.rate > 0 {
		limit = rate.NewLimiter(rate.Limit(o.rate)/rate.Limit(o.batch), 1)
	}
	next := uint64(0)
	for end := clock.Now().Add(o.duration); clock.Now().Before(end); {
		if o.rate == 0 && sent*uint64(o.followers) > delivered.Load()+aheadEvents*uint64(o.followers) {
			if err := clock.Sleep(ctx, 200*time.Microsecond); err != nil {
				return sent, requests, err
			}
			continue
		}
		if err := limit.Wait(ctx); err != nil {
			return sent, requests, err
		}
		for _, at := range ids {
			putDigits(body[at:at+idDigits], next)
			next++
		}
		now := uint64(clock.Now().UnixNano())
		for _, at := range stamps {
			putDigits(body[at:at+stampBytes-len(stampMark)], now)
		}
		if _, err := r.do(head, body); err != nil {
			return sent, requests, err
		}
		sent += uint64(o.batch)
		requests++
	}
	return sent, requests, nil
}
