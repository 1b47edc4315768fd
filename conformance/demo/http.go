package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// httpClient is a plain net/http client; its timeout is for publishing only, a follower has none.
var httpClient = &http.Client{Timeout: 10 * time.Second}

// publish sends one CloudEvent in binary mode. The id is the caller's and stays the same when it is sent again, so that a second try after a
// lost answer is no second event.
func publish(ctx context.Context, base, stream, kind, id, key string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return permanent{err}
	}
	return again(ctx, "publish to "+stream, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/streams/"+stream+"/events", bytes.NewReader(body))
		if err != nil {
			return permanent{err}
		}
		req.Header = http.Header{
			"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {"/shop"}, "Ce-Type": {kind}, "Ce-Partitionkey": {key},
		}
		res, err := httpClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		switch {
		case err != nil:
			return err
		case res.StatusCode/100 == 2:
			return nil
		case res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests:
			return permanent{fmt.Errorf("%s: %s", res.Status, text)}
		}
		return fmt.Errorf("%s: %s", res.Status, text)
	})
}

// orders places orders at a steady rate.
func orders(ctx context.Context, o options, s *status) error {
	r := mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))
	run := strings.ToLower(rand.Text()[:4]) // orders of another run have other numbers
	tick := time.NewTicker(time.Second / time.Duration(o.rate))
	defer tick.Stop()
	s.ready.Store(true)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ord := newOrder(r, run, n)
		if err := publish(ctx, o.http, "orders", "shop.order.placed", "placed-"+ord.Order, ord.Order, ord); err != nil {
			return err
		}
		s.count.Add(1)
	}
}

// stock follows shipments by server-sent events and fills the shelves again.
func stock(ctx context.Context, o options, s *status) error {
	shelves, last := shelf{}, ""
	sold := 0
	follow := func() error {
		return followEvents(ctx, o.http+"/v1/events?streams=orders,shipments&from=latest", last, func() { s.ready.Store(true) }, func(position string, event []byte) error {
			var e struct {
				Type string   `json:"type"`
				Data shipment `json:"data"`
			}
			if err := json.Unmarshal(event, &e); err != nil {
				return permanent{fmt.Errorf("event at %s: %w", position, err)}
			}
			switch e.Type {
			case "shop.order.placed":
				sold++
			case "shop.shipment.sent":
				if more, low := shelves.take(e.Data); low {
					if err := publish(ctx, o.http, "stock", "shop.stock.replenished", "filled-after-"+e.Data.Order, more.Article, more); err != nil {
						return err
					}
					s.count.Add(1)
				}
			}
			last = position
			s.says("(%d sold)", sold)
			return nil
		})
	}
	return again(ctx, "stock", follow)
}

// followEvents reads server-sent events from a URL and gives each to event, beginning after the position last.
func followEvents(ctx context.Context, url, last string, begun func(), event func(position string, data []byte) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return permanent{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return errors.Join(fmt.Errorf("%s: %s", res.Status, text), err)
	}
	begun()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	var id string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if v, ok := bytes.CutPrefix(line, []byte("id:")); ok {
			id = string(bytes.TrimSpace(v))
		} else if v, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(v, []byte(" "))...)
		} else if len(line) == 0 && data != nil {
			if err := event(id, data); err != nil {
				return err
			}
			data = nil
		}
	}
	return errors.Join(errors.New("the stream of events ended"), lines.Err())
}
